#include "sql/dead.h"
#include "tests/integration/sql_rig.h"

int
main(void)
{
	rig_start();
	rig_migrate();
	rig_stop();
	return check_done();
}
