/*
 * base/clock.h - time: UTC microseconds since 1970, and a monotonic clock for waits
 *
 * Pure code takes "now" as an argument; only the top reads these clocks.
 */
#pragma once

#include <glib.h>

#define CLOCK_SECOND_US G_GINT64_CONSTANT(1000000)
#define CLOCK_ISO_SIZE  32

/* UTC, microseconds since 1970. */
gint64 clock_now_us(void);
/* Milliseconds of a clock that never jumps; for timeouts. */
gint64 clock_mono_ms(void);
/* "2026-01-31T12:00:00.000Z" into buffer, which is returned. */
const char *clock_iso_ms(gint64 us, char buffer[CLOCK_ISO_SIZE]);
/* "2026-01-31T12:00:00Z" into buffer, which is returned. */
const char *clock_iso_s(gint64 us, char buffer[CLOCK_ISO_SIZE]);
/* "20260131T120000Z", the form SigV4 uses, into buffer, which is returned. */
const char *clock_basic(gint64 us, char buffer[CLOCK_ISO_SIZE]);
/* Parses ISO 8601 (with Z, an offset, or none meaning UTC; fractions allowed). */
gboolean clock_parse_iso(const char *text, gint64 *ret_us);
/* Parses "20260131T120000Z" exactly. */
gboolean clock_parse_basic(const char *text, gint64 *ret_us);
