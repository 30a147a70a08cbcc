/* What agents say on their channels, and the page tokens of clients: opaque to both, so any bytes. */
#include "fuzz.h"
#include "handlers/ec2_page.h"
#include "handlers/ecs_common.h"
#include "model/telemetry.h"
#include "server/channel_loop.h"

static const HandlerContext context = { .master_key = { 3 } };

static void try_pages(const char *text)
{
    json_auto_t *params = json_pack("{s:s?,s:s?}", "NextToken", text, "nextToken", text);
    const Request rq = {
        .context = &context, .params = params, .account_id = "123456789012", .region = "home-1"
    };
    g_auto(Ec2Page) ec2 = { 0 };
    g_auto(Page) ecs = { 0 };

    if (!params)
        return; /* no UTF-8: the codecs let none through */
    /* signed: none that was guessed is taken */
    g_assert_true(!ec2_page_open(&rq, "DescribeInstances", 5, 1000, &ec2, NULL) || !*text);
    if (page_read(&rq, 10, &ecs, NULL) && *text)
        g_assert_nonnull(ecs.after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    const char *type = NULL;
    const json_t *message = NULL;
    json_auto_t *samples = json_array();
    json_auto_t *tree = channel_parse((const char *)data, size, &type, &message);

    if (tree) {
        g_assert_nonnull(type);
        telemetry_samples(samples, 1, message, G_GINT64_CONSTANT(1700000000000000));
        g_assert_cmpuint(json_array_size(samples), <=, TELEMETRY_SAMPLES_MAX);
    }
    try_pages(text);
    return 0;
}
