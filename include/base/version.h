#ifndef POINTSMAN_BASE_VERSION_H
#define POINTSMAN_BASE_VERSION_H

/* The version of the program; see also -V and SHOW VERSION. */
#define POINTSMAN_VERSION "0.1.0"

#endif
