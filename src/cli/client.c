#include "cli/client.h"
#include "base/errors.h"

struct Client {
    Profile *profile;
};

void client_free(Client *client)
{
    if (!client)
        return;
    profile_free(client->profile);
    g_free(client);
}
