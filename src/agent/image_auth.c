#include "agent/image_auth.h"
#include "agent/image_name.h"
#include "base/errors.h"
#include "base/tree.h"

#include <string.h>

static json_t *plain_auth(const char *user, const char *password, const char *registry)
{
    return json_pack("{s:s, s:s, s:s}", "username", user, "password", password, "serveraddress",
                     registry);
}

/* {"auth": base64 of "user:password"}, as in .dockercfg; NULL when it is none. */
static json_t *decoded_auth(const json_t *entry, const char *registry)
{
    gsize length = 0;
    g_autofree guchar *bytes = g_base64_decode(text_of(entry, "auth"), &length);
    g_autofree char *pair = g_strndup((const char *)bytes, length);
    char *colon = strchr(pair, ':');

    if (!colon)
        return NULL;
    *colon = '\0';
    json_t *auth = plain_auth(pair, colon + 1, registry);
    explicit_bzero(colon + 1, strlen(colon + 1));
    return auth;
}

static json_t *entry_auth(const json_t *entry, const char *registry)
{
    if (*text_of(entry, "auth"))
        return decoded_auth(entry, registry);
    if (*text_of(entry, "identitytoken"))
        return json_pack("{s:s, s:s}", "identitytoken", text_of(entry, "identitytoken"),
                         "serveraddress", registry);
    return *text_of(entry, "username")
               ? plain_auth(text_of(entry, "username"), text_of(entry, "password"), registry)
               : NULL;
}

/* The map of registries; .docker/config.json has it one level below. */
static json_t *registries(const AgentConfig *config)
{
    json_t *tree = json_loads(config->auth_data, 0, NULL);
    json_t *auths = json_object_get(tree, "auths");

    if (!json_is_object(auths))
        return tree;
    json_incref(auths);
    json_decref(tree);
    return auths;
}

json_t *agent_image_auth_configured(const AgentConfig *config, const char *image)
{
    g_autofree char *registry = agent_image_registry(image);
    json_auto_t *all = *config->auth_type ? registries(config) : NULL;
    const char *address;
    json_t *entry;

    json_object_foreach(all, address, entry)
    {
        g_autofree char *name = agent_registry_name(address);
        if (strcmp(name, registry) == 0)
            return entry_auth(entry, address);
    }
    return NULL;
}

gboolean agent_image_auth_check(const AgentConfig *config, GError **error)
{
    gboolean cfg = strcmp(config->auth_type, "dockercfg") == 0;
    json_auto_t *all = registries(config);
    const char *address;
    json_t *entry;

    if (!*config->auth_type)
        return TRUE;
    if (!cfg && strcmp(config->auth_type, "docker") != 0)
        return fail(error, CONFIG, "BERTH_ENGINE_AUTH_TYPE=\"%s\" is neither dockercfg nor docker",
                    config->auth_type);
    json_object_foreach(all, address, entry)
    {
        json_auto_t *auth = entry_auth(entry, address);
        if (!auth)
            return fail(error, CONFIG, "BERTH_ENGINE_AUTH_DATA has no %s for the registry \"%s\"",
                        cfg ? "\"auth\"" : "\"username\" and \"password\"", address);
    }
    return TRUE;
}

ImageAuth agent_image_auth_of(const AgentTask *task, const AgentContainer *container,
                              const AgentCredentialsTable *credentials, const char **ret_secret,
                              const AgentCredentials **ret_role)
{
    const json_t *how = json_object_get(container->spec, "registryAuthentication");
    const json_t *data = json_object_get(how, "asmAuthData");
    const char *type = text_of(how, "type");

    if (!*type)
        return IMAGE_AUTH_NONE;
    if (strcmp(type, "asm") != 0 || !*text_of(data, "credentialsParameter"))
        return IMAGE_AUTH_UNKNOWN;
    if (!json_object_get(task->payload, agent_credentials_member(CREDENTIALS_EXECUTION)))
        return IMAGE_AUTH_NEVER;
    *ret_secret = text_of(data, "credentialsParameter");
    *ret_role = agent_credentials_of(credentials, task->arn, CREDENTIALS_EXECUTION);
    return *ret_role ? IMAGE_AUTH_READY : IMAGE_AUTH_LATER;
}

json_t *agent_image_auth_fetch(const AgentConfig *config, const AgentSigner *signer,
                               const char *secret, const char *image, GError **error)
{
    g_autofree char *registry = agent_image_registry(image);
    json_auto_t *request = json_pack("{s:s}", "SecretId", secret);
    json_auto_t *answer = agent_api_call_now(config, signer, "secretsmanager",
                                             "secretsmanager.GetSecretValue", request, error);
    if (!answer) {
        fail_prefix(error, "cannot read the credentials \"%s\"", secret);
        return NULL;
    }
    json_auto_t *tree = json_loads(text_of(answer, "SecretString"), 0, NULL);
    if (!*text_of(tree, "username"))
        return fail_null(error, API,
                         "the secret \"%s\" is no JSON object with username and password", secret);
    return plain_auth(text_of(tree, "username"), text_of(tree, "password"), registry);
}
