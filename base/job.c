#include "base/job.h"

const char *
job_kind_name(enum job_kind kind)
{
	switch (kind) {
	case JOB_ACTION:
		return "action";
	case JOB_SYNC:
		return "sync";
	case JOB_WEBHOOK:
		return "webhook";
	case JOB_EVENT:
		return "event";
	}
	return "unknown";
}

const char *
job_state_name(enum job_state state)
{
	switch (state) {
	case JOB_SUCCEEDED:
		return "succeeded";
	case JOB_FAILED:
		return "failed";
	case JOB_CANCELLED:
		return "cancelled";
	case JOB_EXPIRED:
		return "expired";
	case JOB_WORKER_LOST:
		return "worker_lost";
	}
	return "unknown";
}
