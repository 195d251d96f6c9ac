# sets the variables of each quarter, and runs Recursive_MES
