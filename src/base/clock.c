#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

gint64 clock_now_us(void)
{
    return g_get_real_time();
}

gint64 clock_mono_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

static const char *clock_format(gint64 us, char *buffer, const char *format)
{
    time_t seconds = (time_t)(us / CLOCK_SECOND_US - (us % CLOCK_SECOND_US < 0));
    struct tm tm;

    gmtime_r(&seconds, &tm);
    if (strftime(buffer, CLOCK_ISO_SIZE, format, &tm) == 0)
        buffer[0] = '\0';
    return buffer;
}

const char *clock_iso_ms(gint64 us, char buffer[CLOCK_ISO_SIZE])
{
    clock_format(us, buffer, "%Y-%m-%dT%H:%M:%S");
    gsize length = strlen(buffer);
    int ms = (int)(((us % CLOCK_SECOND_US) + CLOCK_SECOND_US) % CLOCK_SECOND_US / 1000);
    snprintf(buffer + length, CLOCK_ISO_SIZE - length, ".%03dZ", ms);
    return buffer;
}

const char *clock_iso_s(gint64 us, char buffer[CLOCK_ISO_SIZE])
{
    return clock_format(us, buffer, "%Y-%m-%dT%H:%M:%SZ");
}

const char *clock_basic(gint64 us, char buffer[CLOCK_ISO_SIZE])
{
    return clock_format(us, buffer, "%Y%m%dT%H%M%SZ");
}

gboolean clock_parse_iso(const char *text, gint64 *ret_us)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) when = text ? g_date_time_new_from_iso8601(text, utc) : NULL;

    if (!when)
        return FALSE;
    *ret_us = g_date_time_to_unix(when) * CLOCK_SECOND_US + g_date_time_get_microsecond(when);
    return TRUE;
}

gboolean clock_parse_basic(const char *text, gint64 *ret_us)
{
    struct tm tm = { 0 };

    if (!text || strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z')
        return FALSE;
    for (int i = 0; i < 15; i++)
        if (i != 8 && !g_ascii_isdigit(text[i]))
            return FALSE;
    if (sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec) != 6)
        return FALSE;
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60)
        return FALSE;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_us = (gint64)timegm(&tm) * CLOCK_SECOND_US;
    return TRUE;
}
