/* daemon/api/admin_read.c - parameters of /admin/v1 that several paths take. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/api/admin.h"

bool
admin_read_number(struct api_call *call, const char *name, int64_t max, int64_t *out)
{
	const char *value = api_query(call, name);
	long long number;
	char *end;

	if (value == NULL)
		return true;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (value[0] >= '0' && value[0] <= '9' && *end == '\0' && errno == 0 && number >= 1 &&
	    number <= max) {
		*out = number;
		return true;
	}
	api_fail_issue(call, "invalid_query_params", "invalid_value", name,
		       "%s must be a whole number from 1 to %lld", name, (long long)max);
	return false;
}

bool
admin_parse_time(const char *text, int64_t *out)
{
	struct tm tm = {0};
	char again[CLOCK_ISO_SIZE];
	int ms;

	if (strlen(text) != 24 ||
	    sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &ms) != 7 ||
	    tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*out = (int64_t)timegm(&tm) * 1000 + ms;
	clock_iso(*out, again);
	return strcmp(text, again) == 0; /* no 31st of February, no sign, no space */
}

bool
admin_read_time(struct api_call *call, const char *name, int64_t *out)
{
	const char *value = api_query(call, name);

	if (value == NULL || admin_parse_time(value, out))
		return true;
	api_fail_issue(call, "invalid_query_params", "invalid_format", name,
		       "%s must be a time as the list shows it, like 2026-11-22T05:12:00.123Z",
		       name);
	return false;
}

bool
admin_read_before(struct api_call *call, int64_t *out)
{
	return admin_read_time(call, "before", out);
}

bool
admin_read_array(struct api_call *call, struct json_value list, const char *name, int max,
		 int *count)
{
	struct json_iter it;

	*count = 0;
	if (list.type == JSON_ARRAY_) {
		json_iter_init(&it, list);
		while (*count <= max && json_iter_next(&it))
			(*count)++;
		json_iter_fini(&it);
	}
	if (*count >= 1 && *count <= max)
		return true;
	api_fail_issue(call, "invalid_body",
		       list.type != JSON_ARRAY_ ? "invalid_type"
		       : *count == 0            ? "too_small"
						: "too_big",
		       name, "%s must be an array of 1 to %d ids", name, max);
	return false;
}

void
admin_show_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(wall_ms, text);
	jw_member_text(w, key, wall_ms > 0 ? text : NULL);
}

void
admin_show_name(struct json_writer *w, const char *key, const char *name)
{
	jw_member_text(w, key, name[0] != '\0' ? name : NULL);
}
