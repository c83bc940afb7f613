#include "daemon/doctor.h"
#include "tests/lib/check.h"
int main(void) { return check_done(); }
