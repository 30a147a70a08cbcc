/*
 * cli/ui.h - what a person reads: tables of at most 80 columns, steps with their time, waits
 *
 * Answers go to standard output, everything else (progress, hints, commands explained) to
 * standard error, so that output can be piped. Colour only where that is a terminal and NO_COLOR
 * is not set.
 */
#pragma once

#include <jansson.h>
#include <glib.h>

typedef enum {
    FORM_TEXT,
    FORM_TIME, /* microseconds as "14:02:11" today, else the date */
    FORM_DAY,  /* the day of a time in ISO 8601 */
    FORM_TAIL, /* what follows the last "/" of an ARN */
    FORM_SHORT /* the first 12 characters of that */
} ColumnForm;

typedef struct {
    const char *title;
    const char *path; /* "State.Name"; a number is an index; "#" counts a list; "A/B" joins */
    ColumnForm form;
} Column;

/* rows: an array of objects. columns ends with a NULL title. With json set, prints rows instead. */
void ui_table(const Column *columns, const json_t *rows, gboolean json);
void ui_json(const json_t *tree);
/* The value at path as text; "-" when there is none. Caller frees. */
char *ui_cell(const json_t *row, const char *path, ColumnForm form);

/* One line to standard output. */
void ui_print(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* One line to standard error. */
void ui_note(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A step: its name now, how it ended and after which time when it is over. One at a time. */
void ui_step(const char *name);
void ui_step_done(const char *format, ...) G_GNUC_PRINTF(1, 2);
void ui_step_failed(void);
/* Replaces what stands behind the running step (a terminal only). */
void ui_step_progress(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Says what is about to be done, and asks for name to be typed. Error: USAGE when it was not, or
 * nobody is there to be asked. */
gboolean ui_confirm(const char *what, const char *name, GError **error);

/* Escape sequences, or "" where there is no colour. */
const char *ui_bold(void);
const char *ui_dim(void);
const char *ui_red(void);
const char *ui_green(void);
const char *ui_plain(void);
