// The kernels for what every CPU of the architecture has.
#define FORETELL_VARIANT baseline
#include "kernels.h"
