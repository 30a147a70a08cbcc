#include "model/image.h"

#define GIB (G_GINT64_CONSTANT(1) << 30)

void image_free(Image *i)
{
    if (!i)
        return;
    char *texts[] = { i->id,
                      i->account_id,
                      i->name,
                      i->description,
                      i->architecture,
                      i->root_device_name,
                      i->ssh_user,
                      i->location,
                      i->import_format,
                      i->import_sha256,
                      i->state,
                      i->fault,
                      i->disk_format,
                      i->disk_sha256,
                      i->kernel_sha256,
                      i->initrd_sha256,
                      i->kernel_cmdline,
                      i->snapshot_id };
    for (gsize n = 0; n < G_N_ELEMENTS(texts); n++)
        g_free(texts[n]);
    g_free(i);
}

gint image_root_gib(const Image *image)
{
    return (gint)MAX((image->virtual_bytes + GIB - 1) / GIB, 1);
}
