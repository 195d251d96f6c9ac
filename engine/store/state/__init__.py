"""Operations on a whole state: copies, simulation for plans, adoption, removal and size."""
