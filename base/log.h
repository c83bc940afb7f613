/* base/log.h - one line per event on stderr: `<6>2026-... level=info msg="..." key=value`.
 *
 * The journal's level prefix is written only when stderr is the journal (JOURNAL_STREAM is set).
 * Callers never pass secrets; values are quoted and control bytes escaped here.  Lines are cut at
 * 8 KiB. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include "base/error.h"

enum log_level { LOG_LEVEL_ERROR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

void log_set_level(enum log_level level); /* default: info */
enum log_level log_get_level(void);
/* event is a fixed snake_case word ("worker_lost"); details are `key=%s` pairs by format or NULL.
 * log_text() quotes one value for use in them. */
void log_event(enum log_level level, const char *event, const char *format, ...) SL_PRINTF(3, 4);
#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_LEVEL_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, event, __VA_ARGS__)
/* text quoted and escaped, in one of a few rotating static buffers (cut at 500 bytes). */
const char *log_text(const char *text);

#endif
