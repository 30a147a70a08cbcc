#include "model/glob.h"

static const char *next_character(const char *text)
{
    do
        text++;
    while (((guchar)*text & 0xc0) == 0x80);
    return text;
}

/* Takes the pattern's first item from *pattern and *text; FALSE when they differ. */
static gboolean match_one(const char **pattern, const char **text)
{
    if (**pattern == '?') {
        (*pattern)++;
        *text = next_character(*text);
        return TRUE;
    }
    if (**pattern == '\\' && (*pattern)[1])
        (*pattern)++;
    if (**pattern != **text)
        return FALSE;
    (*pattern)++;
    (*text)++;
    return TRUE;
}

/* Goes back to the last star only, so time is at most the product of both lengths. */
gboolean glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *again = NULL;

    while (*text || *pattern) {
        if (*pattern == '*') {
            star = ++pattern;
            again = text;
        } else if (!*text || !*pattern || !match_one(&pattern, &text)) {
            if (!star || !*again)
                return FALSE;
            again = next_character(again);
            pattern = star;
            text = again;
        }
    }
    return TRUE;
}
