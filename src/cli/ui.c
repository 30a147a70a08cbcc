#include "cli/ui.h"
#include "base/clock.h"
#include "base/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WIDTH_MAX  80
#define NAME_WIDTH 26
#define SHORT_ID   12

static const char *escape(const char *sequence)
{
    static int colour = -1;

    if (colour < 0)
        colour = isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
    return colour ? sequence : "";
}

const char *ui_bold(void)
{
    return escape("\033[1m");
}

const char *ui_dim(void)
{
    return escape("\033[2m");
}

const char *ui_red(void)
{
    return escape("\033[31m");
}

const char *ui_green(void)
{
    return escape("\033[32m");
}

const char *ui_plain(void)
{
    return escape("\033[0m");
}

static void line_out(FILE *to, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);

    fprintf(to, "%s\n", text);
    fflush(to);
}

void ui_print(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line_out(stdout, format, args);
    va_end(args);
}

/* The step that runs; what is said meanwhile stands above its line. */
static const char *step_name;
static gint64 step_began_ms;

void ui_note(const char *format, ...)
{
    va_list args;

    if (step_name && *escape("x"))
        fprintf(stderr, "\r\033[K");
    va_start(args, format);
    line_out(stderr, format, args);
    va_end(args);
}

void ui_json(const json_t *tree)
{
    json_dumpf(tree, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    fputc('\n', stdout);
}

/* -- cells */
static const json_t *value_at(const json_t *row, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, ".", -1);

    for (char **part = parts; *part && row; part++) {
        if (json_is_array(row) && g_ascii_isdigit(**part))
            row = json_array_get(row, (size_t)g_ascii_strtoull(*part, NULL, 10));
        else if (strcmp(*part, "#") != 0)
            row = json_object_get(row, *part);
    }
    return row;
}

static char *time_text(gint64 us)
{
    time_t seconds = (time_t)(us / CLOCK_SECOND_US), now = time(NULL);
    struct tm then, today;
    char text[32];

    localtime_r(&seconds, &then);
    localtime_r(&now, &today);
    gboolean same_day = then.tm_yday == today.tm_yday && then.tm_year == today.tm_year;
    strftime(text, sizeof text, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &then);
    return g_strdup(text);
}

static char *tail_of(const char *text, gsize most)
{
    const char *slash = strrchr(text, '/');

    return g_strndup(slash ? slash + 1 : text, most);
}

static char *list_text(const json_t *list)
{
    g_autoptr(GString) text = g_string_new(NULL);
    const json_t *item;
    size_t n;

    json_array_foreach(list, n, item)
    {
        g_autofree char *cell = json_is_string(item)
                                    ? g_strdup(json_string_value(item))
                                    : json_dumps(item, JSON_ENCODE_ANY | JSON_COMPACT);
        g_string_append_printf(text, "%s%s", n ? "," : "", cell);
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *value_text(const json_t *value, const char *path, ColumnForm form)
{
    if (g_str_has_suffix(path, "#"))
        return g_strdup_printf("%zu", json_array_size(value));
    if (json_is_integer(value) && form == FORM_TIME)
        return time_text(json_integer_value(value));
    if (json_is_integer(value))
        return g_strdup_printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return g_strdup_printf("%g", json_real_value(value));
    if (json_is_boolean(value))
        return g_strdup(json_is_true(value) ? "yes" : "no");
    if (json_is_array(value) && json_array_size(value))
        return list_text(value);
    if (!json_is_string(value) || !*json_string_value(value))
        return g_strdup("-");
    if (form == FORM_DAY)
        return g_strndup(json_string_value(value), strlen("2026-01-31"));
    if (form == FORM_TAIL || form == FORM_SHORT)
        return tail_of(json_string_value(value), form == FORM_SHORT ? SHORT_ID : 4096);
    return g_strdup(json_string_value(value));
}

char *ui_cell(const json_t *row, const char *path, ColumnForm form)
{
    g_auto(GStrv) paths = g_strsplit(path, "/", -1);

    for (char **one = paths; *one; one++) {
        char *text = value_text(value_at(row, *one), *one, form);
        g_free(*one);
        *one = text;
    }
    return g_strjoinv("/", paths);
}

/* -- tables */
static gsize width_of(const char *text)
{
    return (gsize)g_utf8_strlen(text, -1);
}

/* Narrows the widest column until a row fits; never the first, which names the row. */
static void fit(gsize *widths, guint count)
{
    for (;;) {
        gsize total = 0;
        guint widest = count - 1;
        for (guint c = 0; c < count; c++) {
            total += widths[c] + (c + 1 < count ? 2 : 0);
            if (c > 0 && widths[c] > widths[widest])
                widest = c;
        }
        if (total <= WIDTH_MAX || widths[widest] <= 8)
            return;
        widths[widest]--;
    }
}

static void put_cell(const char *text, gsize width, gboolean last)
{
    gsize length = width_of(text);

    if (length > width) {
        g_autofree char *head = g_utf8_substring(text, 0, (glong)width - 1);
        printf("%s~", head);
        length = width;
    } else {
        printf("%s", text);
    }
    if (!last)
        printf("%*s", (int)(width - length + 2), "");
}

static void put_rows(const Column *columns, guint count, const json_t *rows, char **cells,
                     const gsize *widths)
{
    printf("%s", ui_bold());
    for (guint c = 0; c < count; c++)
        put_cell(columns[c].title, widths[c], c + 1 == count);
    printf("%s\n", ui_plain());
    for (size_t r = 0; r < json_array_size(rows); r++) {
        for (guint c = 0; c < count; c++)
            put_cell(cells[r * count + c], widths[c], c + 1 == count);
        printf("\n");
    }
}

void ui_table(const Column *columns, const json_t *rows, gboolean json)
{
    g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
    guint count = 0;
    const json_t *row;
    size_t n;

    if (json) {
        ui_json(rows);
        return;
    }
    while (columns[count].title)
        count++;
    g_autofree gsize *widths = g_new0(gsize, count);
    for (guint c = 0; c < count; c++)
        widths[c] = width_of(columns[c].title);
    json_array_foreach(rows, n, row) for (guint c = 0; c < count; c++)
    {
        char *cell = ui_cell(row, columns[c].path, columns[c].form);
        widths[c] = MAX(widths[c], width_of(cell));
        g_ptr_array_add(cells, cell);
    }
    fit(widths, count);
    put_rows(columns, count, rows, (char **)cells->pdata, widths);
    fflush(stdout);
}

/* -- steps */
void ui_step(const char *name)
{
    step_name = name;
    step_began_ms = clock_mono_ms();
    if (*escape("x"))
        fprintf(stderr, "  %-*s ", NAME_WIDTH, name);
}

void ui_step_progress(const char *format, ...)
{
    va_list args;

    if (!*escape("x") || !step_name)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    fprintf(stderr, "\r\033[K  %-*s %s%.42s%s", NAME_WIDTH, step_name, ui_dim(), text, ui_plain());
}

static void step_end(const char *colour, const char *text)
{
    double seconds = (double)(clock_mono_ms() - step_began_ms) / 1000;

    fprintf(stderr, "%s  %-*s %s%-*s%s %5.1f s\n", *escape("x") ? "\r\033[K" : "", NAME_WIDTH,
            step_name, colour, 41, text, *colour ? ui_plain() : "", seconds);
    step_name = NULL;
}

void ui_step_done(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    step_end("", text);
}

void ui_step_failed(void)
{
    if (step_name)
        step_end(ui_red(), "failed");
}

gboolean ui_confirm(const char *what, const char *name, GError **error)
{
    char answer[256] = "";

    if (!isatty(STDIN_FILENO))
        return fail(error, USAGE, "%s; say --yes", what);
    fprintf(stderr, "%c%s.\nType \"%s\" to go on: ", g_ascii_toupper(*what), what + 1, name);
    if (!fgets(answer, sizeof answer, stdin) || strcmp(g_strchomp(answer), name) != 0)
        return fail(error, USAGE, "nothing was removed");
    return TRUE;
}
