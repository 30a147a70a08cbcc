/*
 * A fuzz target as a TAP test: each seed as it is, then seeds changed at random for a second. The
 * changes begin from a fixed number, so two runs of equal length try the same. Long searches, guided by
 * coverage, are `make fuzz-run`; this only keeps what they found from coming back.
 * Usage: test_NAME [SEEDS]; tests/fuzz/seeds/NAME when left out. FUZZ_MS: how long, 1000.
 */
#include "fuzz.h"

#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX 65536

static GString *input; /* the one that is tried */

/* Says which input it was, as text that `xxd -r -p` turns back. */
static void on_abort(int number)
{
    static const char digits[] = "0123456789abcdef";
    char byte[2];

    (void)!write(1, "# input: ", 9);
    for (gsize n = 0; n < input->len; n++) {
        byte[0] = digits[(guint8)input->str[n] >> 4];
        byte[1] = digits[input->str[n] & 15];
        (void)!write(1, byte, 2);
    }
    (void)!write(1, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

static GPtrArray *load_seeds(const char *folder)
{
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    GPtrArray *seeds = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, NULL);
        char *data = NULL;
        gsize length = 0;
        if (g_file_get_contents(path, &data, &length, NULL))
            g_ptr_array_add(seeds, g_bytes_new_take(data, length));
    }
    return seeds;
}

static void take_seed(GPtrArray *seeds, guint n)
{
    gsize length;
    const char *data = g_bytes_get_data(g_ptr_array_index(seeds, n), &length);

    g_string_truncate(input, 0);
    g_string_append_len(input, data, (gssize)length);
}

static void try_input(void)
{
    /* a copy of exactly its size, so that a sanitizer sees reads behind its end; never NULL */
    guint8 *data = malloc(input->len);

    memcpy(data, input->str, input->len);
    LLVMFuzzerTestOneInput(data, input->len);
    free(data);
}

static void change(GRand *rand, GPtrArray *seeds)
{
    gsize at = input->len ? (gsize)g_rand_int(rand) % input->len : 0;
    gsize rest = input->len - at, length = rest ? 1 + g_rand_int(rand) % rest : 0;
    gsize other_length;

    switch (g_rand_int_range(rand, 0, 6)) {
    case 0: /* a bit turns */
        if (rest)
            input->str[at] ^= (char)(1 << g_rand_int_range(rand, 0, 8));
        break;
    case 1: /* any byte */
        if (rest)
            input->str[at] = (char)g_rand_int(rand);
        break;
    case 2: /* the end is missing */
        g_string_truncate(input, at);
        break;
    case 3: /* a piece is missing */
        g_string_erase(input, (gssize)at, (gssize)MIN(length, 16));
        break;
    case 4: { /* a piece comes twice */
        g_autofree char *piece = g_memdup2(input->str + at, length);
        g_string_insert_len(input, (gssize)at, piece, (gssize)length);
        break;
    }
    default: { /* a piece of another seed */
        const char *other = g_bytes_get_data(
            g_ptr_array_index(seeds, g_rand_int(rand) % seeds->len), &other_length);
        gsize from = other_length ? g_rand_int(rand) % other_length : 0;
        gsize wanted = 1 + g_rand_int(rand) % 32;
        if (other_length)
            g_string_insert_len(input, (gssize)at, other + from,
                                (gssize)MIN(other_length - from, wanted));
    }
    }
    if (input->len > INPUT_MAX)
        g_string_truncate(input, INPUT_MAX);
}

int main(int argc, char **argv)
{
    const char *name = strstr(argv[0], "/test_") ? strstr(argv[0], "/test_") + 6 : argv[0];
    g_autofree char *folder =
        argc > 1 ? g_strdup(argv[1]) : g_build_filename("tests/fuzz/seeds", name, NULL);
    g_autoptr(GPtrArray) seeds = load_seeds(folder);
    g_autoptr(GRand) rand = g_rand_new_with_seed(20170403);
    const char *ms = getenv("FUZZ_MS");
    gint64 until = g_get_monotonic_time() + (ms ? atoll(ms) : 1000) * 1000;
    guint tried = 0;

    input = g_string_new(NULL);
    signal(SIGABRT, on_abort);
    signal(SIGSEGV, on_abort);
    try_input();
    for (guint n = 0; n < seeds->len; n++) {
        take_seed(seeds, n);
        try_input();
    }
    printf("%sok 1 - %s: %u seeds\n", seeds->len ? "" : "not ", name, seeds->len);
    for (; seeds->len && g_get_monotonic_time() < until; tried++) {
        take_seed(seeds, g_rand_int(rand) % seeds->len);
        for (gint changes = g_rand_int_range(rand, 1, 8); changes > 0; changes--)
            change(rand, seeds);
        try_input();
    }
    printf("ok 2 - %s: %u changed ones\n1..2\n", name, tried);
    g_string_free(input, TRUE);
    return seeds->len ? 0 : 1;
}
