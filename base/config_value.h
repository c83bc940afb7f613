/* base/config_value.h - private to config*.c: from the text of a setting to its value. */
#ifndef SLUICE_BASE_CONFIG_VALUE_H
#define SLUICE_BASE_CONFIG_VALUE_H

#include "base/config.h"

/* Reads text as row's type and checks its bounds (unless both are 0: none).  *number is left alone
 * for CONFIG_TEXT.  The error says what was expected and never repeats text: it may be a secret
 * that was put in the wrong place. */
SL_MUST_USE enum sl_code config_parse(const struct config_row *row, const char *text,
				      int64_t *number, struct sl_error *error);
/* true/false/1/0/yes/no/on/off in any case. */
bool config_parse_bool(const char *text, int64_t *number);

#endif
