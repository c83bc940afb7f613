#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 8192
#define TEXT_MAX_BYTES 500
#define TEXT_SLOTS 8 /* so many log_text() values may stand in one call */

static enum log_level log_level = LOG_LEVEL_INFO;

void
log_set_level(enum log_level level)
{
	log_level = level;
}

enum log_level
log_get_level(void)
{
	return log_level;
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARN:
		return "warn";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		return "debug";
	}
	return "unknown";
}

/* systemd sets JOURNAL_STREAM to device:inode of the journal's socket; a child whose stderr was
 * redirected inherits the variable but not the socket.  Source: systemd.exec(5). */
static bool
stderr_is_journal(void)
{
	static int known = -1;
	const char *stream;
	struct stat status;
	char wanted[64];

	if (known < 0) {
		stream = getenv("JOURNAL_STREAM");
		known = 0;
		if (stream != NULL && fstat(STDERR_FILENO, &status) == 0) {
			snprintf(wanted, sizeof(wanted), "%llu:%llu",
				 (unsigned long long)status.st_dev,
				 (unsigned long long)status.st_ino);
			known = strcmp(stream, wanted) == 0;
		}
	}
	return known == 1;
}

/* Copies the next character of text, control bytes and broken UTF-8 escaped, so that no value can
 * end the line or drive a terminal.  quoted: quotes and backslashes too.  Returns bytes eaten. */
static size_t
put_safe(char *out, size_t *out_len, const char *text, size_t len, bool quoted)
{
	unsigned char c = (unsigned char)text[0];
	size_t eaten = utf8_len(text, len);
	bool c1 = eaten == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0;

	if (eaten == 0 || c < 0x20 || c == 0x7F || c1) {
		eaten = eaten == 0 ? 1 : eaten;
		for (size_t i = 0; i < eaten; i++) {
			if (text[i] == '\n')
				*out_len += (size_t)snprintf(out + *out_len, 5, "\\n");
			else
				*out_len += (size_t)snprintf(out + *out_len, 5, "\\x%02x",
							     (unsigned char)text[i]);
		}
		return eaten;
	}
	if (quoted && (c == '"' || c == '\\'))
		out[(*out_len)++] = '\\';
	memcpy(out + *out_len, text, eaten);
	*out_len += eaten;
	return eaten;
}

#define SAFE_MAX 9 /* bytes put_safe() writes at most, with snprintf's NUL */

const char *
log_text(const char *text)
{
	static char slots[TEXT_SLOTS][TEXT_MAX_BYTES + 1];
	static unsigned next;
	char *out = slots[next++ % TEXT_SLOTS];
	size_t len = text != NULL ? strlen(text) : 0, at = 0, out_len = 0;

	out[out_len++] = '"';
	while (at < len && out_len + SAFE_MAX + sizeof("...\"") <= TEXT_MAX_BYTES)
		at += put_safe(out, &out_len, text + at, len - at, true);
	if (at < len) {
		memcpy(out + out_len, "...", 3);
		out_len += 3;
	}
	out[out_len++] = '"';
	out[out_len] = '\0';
	return out;
}

static void
write_all(const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t written = write(STDERR_FILENO, bytes, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return; /* nowhere left to say so */
		bytes += written;
		len -= (size_t)written;
	}
}

void
log_event(enum log_level level, const char *event, const char *format, ...)
{
	char line[LINE_MAX_BYTES], details[LINE_MAX_BYTES], now[CLOCK_ISO_SIZE];
	size_t len, at = 0, details_len = 0;
	int saved_errno = errno, printed = 0;
	va_list args;

	if (level > log_level)
		return;
	clock_iso(clock_wall_ms(), now);
	if (stderr_is_journal())
		printed = snprintf(line, sizeof(line), "<%d>", (int)level);
	len = (size_t)printed;
	printed =
	    snprintf(line + len, 256, "%s level=%s msg=\"%.100s\"", now, level_name(level), event);
	len += (size_t)printed;
	if (format != NULL) {
		va_start(args, format);
		printed = vsnprintf(details, sizeof(details), format, args);
		va_end(args);
		if (printed > 0)
			details_len = (size_t)printed < sizeof(details) ? (size_t)printed
									: sizeof(details) - 1;
	}
	if (details_len > 0)
		line[len++] = ' ';
	while (at < details_len && len + SAFE_MAX + 1 <= sizeof(line))
		at += put_safe(line, &len, details + at, details_len - at, false);
	line[len++] = '\n';
	write_all(line, len);
	errno = saved_errno;
}
