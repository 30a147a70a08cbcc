#include "base/log.h"
#include "base/clock.h"

#include <stdarg.h>
#include <unistd.h>

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static LogLevel log_threshold = LOG_INFO;

void log_set_level(LogLevel level)
{
    log_threshold = level;
}

gboolean log_level_from_name(const char *name, LogLevel *ret_level)
{
    for (guint i = 0; i < G_N_ELEMENTS(level_names); i++)
        if (g_strcmp0(name, level_names[i]) == 0) {
            *ret_level = (LogLevel)i;
            return TRUE;
        }
    return FALSE;
}

void log_line(LogLevel level, const char *id, const char *format, ...)
{
    va_list args;

    if (level < log_threshold)
        return;
    char when[CLOCK_ISO_SIZE];
    g_autoptr(GString) line = g_string_new(clock_iso_ms(clock_now_us(), when));
    g_string_append_printf(line, " %-5s %s ", level_names[level], id ? id : "-");
    gsize start = line->len;
    va_start(args, format);
    g_string_append_vprintf(line, format, args);
    va_end(args);
    for (gsize i = start; i < line->len; i++)
        if ((guchar)line->str[i] < 0x20)
            line->str[i] = ' ';
    g_string_append_c(line, '\n');
    if (write(STDERR_FILENO, line->str, line->len) < 0)
        return;
}
