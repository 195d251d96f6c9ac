// What pages do beyond showing themselves. Without this script, all of them can be read, and every form works.
"use strict";
