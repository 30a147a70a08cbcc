#include "handlers/public_parameters.h"
#include "base/errors.h"
#include "store/images.h"

#include <stdlib.h>
#include <string.h>

#define PUBLIC     "/aws/service/"
#define OPTIMIZED  PUBLIC "ecs/optimized-ami/amazon-linux-2"
#define IMAGE_NAME "ecs-optimized"

gboolean public_parameter_is(const char *name)
{
    return g_str_has_prefix(name, PUBLIC);
}

static gboolean is_optimized(const Image *image, const char *architecture)
{
    gsize length = strlen(IMAGE_NAME);

    return strncmp(image->name, IMAGE_NAME, length) == 0 &&
           (image->name[length] == '\0' || image->name[length] == '-') &&
           strcmp(image->state, "available") == 0 && strcmp(image->architecture, architecture) == 0;
}

static const Image *newest(const GPtrArray *images, const char *architecture)
{
    const Image *found = NULL;

    for (guint i = 0; i < images->len; i++) {
        const Image *image = images->pdata[i];
        if (is_optimized(image, architecture) && (!found || image->created_us > found->created_us))
            found = image;
    }
    return found;
}

static char *recommended(const Image *image)
{
    json_auto_t *tree = json_pack(
        "{s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "schema_version", 1, "image_name", image->name,
        "image_id", image->id, "os", "Debian GNU/Linux 12", "ecs_runtime_version", "Docker",
        "ecs_agent_version", BERTH_VERSION, "source_image_name", image->name);

    return json_dumps(tree, JSON_COMPACT);
}

/* What stands behind the family's name: the architecture, and which member is asked for. */
static const char *split(const char *name, const char **ret_architecture)
{
    static const char *const places[][2] = {
        { OPTIMIZED "/recommended", "x86_64" },
        { OPTIMIZED "023/recommended", "x86_64" },
        { OPTIMIZED "/arm64/recommended", "arm64" },
        { OPTIMIZED "023/arm64/recommended", "arm64" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        *ret_architecture = places[i][1];
        if (g_str_has_prefix(name, places[i][0]))
            return name + strlen(places[i][0]);
    }
    return NULL;
}

json_t *public_parameter(Request *rq, const char *name, GError **error)
{
    const char *architecture = NULL, *member = split(name, &architecture);
    g_autoptr(GPtrArray) images = member ? images_list(rq->tx, rq->account_id, NULL, error) : NULL;
    const Image *image = images ? newest(images, architecture) : NULL;

    if (!image)
        return NULL;
    char *whole = recommended(image);
    json_auto_t *tree = json_loads(whole, 0, NULL);
    const json_t *part = *member == '/' ? json_object_get(tree, member + 1) : NULL;
    const char *value = *member == '\0' ? whole : json_string_value(part);
    json_t *answer = value
                         ? json_pack("{s:s, s:s, s:s, s:i, s:I, s:o, s:s}", "Name", name, "Type",
                                     "String", "Value", value, "Version", 1, "LastModifiedDate",
                                     (json_int_t)image->created_us, "ARN",
                                     json_sprintf("arn:aws:ssm:%s::parameter%s", rq->region, name),
                                     "DataType", "text")
                         : NULL;
    free(whole);
    return answer;
}
