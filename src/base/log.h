/*
 * base/log.h - lines on standard error: time, level, object or request id, sentence
 *
 * Only the top logs: the dispatcher, the reconcile loop, the channel loops, main. Messages are
 * lower case with no full stop. Never a secret, a signature, user data or a session token.
 * Thread-safe: one write(2) per line.
 */
#pragma once

#include <glib.h>

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } LogLevel;

/* Lines below this level are dropped; LOG_INFO until called. Call it once, in main. */
void log_set_level(LogLevel level);
/* "debug", "info", "warn" or "error"; FALSE when it is none of them. */
gboolean log_level_from_name(const char *name, LogLevel *ret_level);

/* id is the request or object the line is about, or "-". */
void log_line(LogLevel level, const char *id, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define log_debug(id, ...) log_line(LOG_DEBUG, (id), __VA_ARGS__)
#define log_info(id, ...)  log_line(LOG_INFO, (id), __VA_ARGS__)
#define log_warn(id, ...)  log_line(LOG_WARN, (id), __VA_ARGS__)
#define log_error(id, ...) log_line(LOG_ERROR, (id), __VA_ARGS__)
