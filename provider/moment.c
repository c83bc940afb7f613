#include "provider/moment.h"

#include <string.h>
#include <strings.h>

#define DAY_S INT64_C(86400)

struct moment {
	int year, month, day, hour, minute, second, millisecond;
	int offset_minutes; /* of the zone, east is positive */
};

static bool
take_digits(const char **at, int count, int *out)
{
	int value = 0;

	for (int i = 0; i < count; i++) {
		char c = (*at)[i];

		if (c < '0' || c > '9')
			return false;
		value = value * 10 + (c - '0');
	}
	*at += count;
	*out = value;
	return true;
}

static bool
take_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

static bool
take_month(const char **at, int *out)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++) {
		if (strncmp(*at, names + 3 * i, 3) == 0) {
			*at += 3;
			*out = i + 1;
			return true;
		}
	}
	return false;
}

static bool
take_clock(const char **at, struct moment *m)
{
	return take_digits(at, 2, &m->hour) && take_char(at, ':') &&
	       take_digits(at, 2, &m->minute) && take_char(at, ':') &&
	       take_digits(at, 2, &m->second);
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool
moment_is_real(const struct moment *m)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	if (m->month < 1 || m->month > 12 || m->day < 1)
		return false;
	if (m->day > days[m->month - 1] + (m->month == 2 && is_leap(m->year) ? 1 : 0))
		return false;
	return m->hour < 24 && m->minute < 60 && m->second <= 60; /* 60: a leap second */
}

/* Days from 1970-01-01, counted in years that begin in March so that the leap day comes last. */
static int64_t
days_since_1970(const struct moment *m)
{
	int64_t year = m->month > 2 ? m->year : m->year - 1;
	int64_t month = m->month > 2 ? m->month - 3 : m->month + 9;
	int64_t before_month = (153 * month + 2) / 5;
	int64_t leaps = year / 4 - year / 100 + year / 400;

	return year * 365 + leaps + before_month + m->day - 1 - 719468;
}

static bool
moment_finish(const struct moment *m, int64_t *out)
{
	int64_t seconds;

	if (!moment_is_real(m))
		return false;
	seconds = days_since_1970(m) * DAY_S + m->hour * 3600 + m->minute * 60 + m->second;
	*out = (seconds - (int64_t)m->offset_minutes * 60) * 1000 + m->millisecond;
	return true;
}

/* "Z", "+01:00", "-0530", "+01" or nothing. */
static bool
take_zone(const char **at, struct moment *m)
{
	int hours, minutes = 0, sign;

	if (**at == '\0' || take_char(at, 'Z') || take_char(at, 'z'))
		return true;
	if (**at != '+' && **at != '-')
		return false;
	sign = **at == '-' ? -1 : 1;
	(*at)++;
	if (!take_digits(at, 2, &hours))
		return false;
	if (**at != '\0') {
		take_char(at, ':');
		if (!take_digits(at, 2, &minutes))
			return false;
	}
	if (hours > 23 || minutes > 59)
		return false;
	m->offset_minutes = sign * (hours * 60 + minutes);
	return true;
}

/* Any number of digits; what is finer than a millisecond is dropped. */
static bool
take_fraction(const char **at, struct moment *m)
{
	int scale = 100;

	if (**at < '0' || **at > '9')
		return false;
	while (**at >= '0' && **at <= '9') {
		m->millisecond += (**at - '0') * scale;
		scale /= 10;
		(*at)++;
	}
	return true;
}

static bool
parse_iso(const char *at, struct moment *m)
{
	if (!take_digits(&at, 4, &m->year) || !take_char(&at, '-') ||
	    !take_digits(&at, 2, &m->month) || !take_char(&at, '-') ||
	    !take_digits(&at, 2, &m->day))
		return false;
	if (*at == '\0')
		return true;
	if (!take_char(&at, 'T') && !take_char(&at, 't') && !take_char(&at, ' '))
		return false;
	if (!take_digits(&at, 2, &m->hour) || !take_char(&at, ':') ||
	    !take_digits(&at, 2, &m->minute))
		return false;
	if (take_char(&at, ':')) {
		if (!take_digits(&at, 2, &m->second))
			return false;
		if (take_char(&at, '.') && !take_fraction(&at, m))
			return false;
	}
	return take_zone(&at, m) && *at == '\0';
}

static bool
is_end_in_utc(const char *at)
{
	return strcasecmp(at, " GMT") == 0 || strcasecmp(at, " UTC") == 0 ||
	       strcmp(at, " +0000") == 0;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool
parse_fixdate(const char *at, struct moment *m)
{
	at = strchr(at, ',');
	if (at == NULL)
		return false;
	at++;
	return take_char(&at, ' ') && take_digits(&at, 2, &m->day) && take_char(&at, ' ') &&
	       take_month(&at, &m->month) && take_char(&at, ' ') && take_digits(&at, 4, &m->year) &&
	       take_char(&at, ' ') && take_clock(&at, m) && is_end_in_utc(at);
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool
parse_rfc850(const char *at, int64_t wall_ms, struct moment *m)
{
	int64_t this_year = 1970 + wall_ms / 1000 / DAY_S * 10000 / 3652425;

	at = strchr(at, ',');
	if (at == NULL)
		return false;
	at++;
	if (!take_char(&at, ' ') || !take_digits(&at, 2, &m->day) || !take_char(&at, '-') ||
	    !take_month(&at, &m->month) || !take_char(&at, '-') || !take_digits(&at, 2, &m->year) ||
	    !take_char(&at, ' ') || !take_clock(&at, m) || !is_end_in_utc(at))
		return false;
	m->year += (int)(this_year - this_year % 100);
	if (m->year > this_year + 50) /* RFC 9110: then it is the past */
		m->year -= 100;
	return true;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool
parse_asctime(const char *at, struct moment *m)
{
	if (strlen(at) != 24 || at[3] != ' ')
		return false;
	at += 4;
	if (!take_month(&at, &m->month) || !take_char(&at, ' '))
		return false;
	if (!(take_char(&at, ' ') ? take_digits(&at, 1, &m->day) : take_digits(&at, 2, &m->day)))
		return false;
	return take_char(&at, ' ') && take_clock(&at, m) && take_char(&at, ' ') &&
	       take_digits(&at, 4, &m->year) && *at == '\0';
}

bool
moment_parse(const char *text, int64_t wall_ms, int64_t *out)
{
	struct moment m = {0};

	if (parse_iso(text, &m))
		return moment_finish(&m, out);
	m = (struct moment){0};
	if (parse_fixdate(text, &m))
		return moment_finish(&m, out);
	m = (struct moment){0};
	if (parse_rfc850(text, wall_ms, &m))
		return moment_finish(&m, out);
	m = (struct moment){0};
	return parse_asctime(text, &m) && moment_finish(&m, out);
}
