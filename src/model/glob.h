/*
 * model/glob.h - the patterns of EC2's filters
 *
 * "*" stands for any characters, "?" for one, "\" takes the next as it is. Bytes are compared, but
 * "?" and "*" never split a UTF-8 character.
 * Source: EC2 User Guide "List and filter using the CLI and API".
 */
#pragma once

#include <glib.h>

gboolean glob_match(const char *pattern, const char *text);
