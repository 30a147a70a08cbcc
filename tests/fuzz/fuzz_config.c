/* Configuration files of the daemon and of the agent: any bytes give settings or a reason. */
#include "agent/config.h"
#include "base/config.h"
#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL, agent_error = NULL;
    int fd = memfd_create("config", MFD_CLOEXEC);

    g_assert_cmpint(write(fd, data, size), ==, (gssize)size);
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(Config) config = config_load(path, &error);
    g_assert_cmpint(config == NULL, ==, error != NULL);
    g_autoptr(AgentConfig) agent = agent_config_load(path, &agent_error);
    g_assert_cmpint(agent == NULL, ==, agent_error != NULL);
    close(fd);
    return 0;
}
