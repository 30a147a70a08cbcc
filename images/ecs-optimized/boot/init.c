/*
 * init - first process of the machine image: loads what reaches the root disk, mounts, goes on
 *
 * Runs from a small initial ramdisk in place of Debian's shell scripts, because starting forty
 * programs before the root is mounted is what costs most on a machine without hardware
 * virtualisation. Loads /modules/NN-name.ko in order of name, finds the ext4 file system whose
 * label is root= of the kernel line (LABEL=x; default "root"), and hands over to its /sbin/init.
 * Linked statically against libc; no argument is taken from anywhere but the kernel line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LABEL_MAX 16          /* ext4: s_volume_name */
#define ROOT_WAIT_MS 30000
#define ROOT_POLL_MS 5

static void die(const char *what)
{
    fprintf(stderr, "init: %s: %s\n", what, strerror(errno));
    for (;;)
        pause();
}

static int module_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void load_modules(void)
{
    struct dirent **list;
    int count = scandir("/modules", &list, module_file, alphasort);

    for (int n = 0; n < count; n++) {
        char path[300];
        snprintf(path, sizeof path, "/modules/%s", list[n]->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
            fprintf(stderr, "init: module \"%s\": %s\n", path, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
}

/* Leaves the label of root=LABEL=x in ret_label. */
static void root_label(char ret_label[LABEL_MAX + 1])
{
    static const char key[] = "root=LABEL=";
    char line[4096] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, line, sizeof line - 1);

    if (fd >= 0)
        close(fd);
    line[got < 0 ? 0 : got] = 0;
    const char *at = strstr(line, key);
    snprintf(ret_label, LABEL_MAX + 1, "%s", at ? at + sizeof key - 1 : "root");
    ret_label[strcspn(ret_label, " \n")] = 0;
}

/* The ext4 superblock lies at byte 1024: magic at +0x38, volume name at +0x78 (kernel
 * documentation, "The Super Block"). */
static int device_has_label(const char *device, const char *label)
{
    unsigned char super[1024];
    int fd = open(device, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, super, sizeof super, 1024);
    close(fd);
    return got == (ssize_t)sizeof super && super[0x38] == 0x53 && super[0x39] == 0xef
        && strncmp((const char *)super + 0x78, label, LABEL_MAX) == 0;
}

static int device_find(const char *label, char *ret_path, size_t size)
{
    DIR *dir = opendir("/sys/class/block");
    const struct dirent *entry;
    int found = 0;

    if (!dir)
        return 0;
    while (!found && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(ret_path, size, "/dev/%s", entry->d_name);
        found = device_has_label(ret_path, label);
    }
    closedir(dir);
    return found;
}

static void mount_root(void)
{
    char label[LABEL_MAX + 1], device[300];
    int waited_ms = 0;

    root_label(label);
    while (!device_find(label, device, sizeof device)) {
        if (waited_ms >= ROOT_WAIT_MS) {
            errno = ENODEV;
            die("no disk with the root file system");
        }
        nanosleep(&(struct timespec){ .tv_nsec = ROOT_POLL_MS * 1000000L }, NULL);
        waited_ms += ROOT_POLL_MS;
    }
    if (mount(device, "/root", "ext4", MS_NOATIME, NULL) < 0)
        die("mounting the root file system");
}

/* Frees the ramdisk's memory: the kernel keeps its files until they are unlinked. */
static void empty_ramdisk(void)
{
    struct dirent **list;
    int count = scandir("/modules", &list, module_file, alphasort);

    for (int n = 0; n < count; n++) {
        char path[300];
        snprintf(path, sizeof path, "/modules/%s", list[n]->d_name);
        unlink(path);
    }
    unlink("/init");
}

static void hand_over(void)
{
    static const char *const kept[] = { "/dev", "/proc", "/sys", NULL };

    empty_ramdisk();
    for (int n = 0; kept[n]; n++) {
        char to[32];
        snprintf(to, sizeof to, "/root%s", kept[n]);
        if (mount(kept[n], to, NULL, MS_MOVE, NULL) < 0)
            die(kept[n]);
    }
    if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0
        || chdir("/") < 0)
        die("going over to the root file system");
    execl("/sbin/init", "/sbin/init", (char *)NULL);
    die("/sbin/init");
}

int main(void)
{
    mkdir("/dev", 0755);
    mkdir("/proc", 0555);
    mkdir("/sys", 0555);
    mkdir("/root", 0755);
    if (mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=0755") < 0)
        die("mounting /dev");
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; console >= 0 && fd < 3; fd++)
        dup2(console, fd);
    if (console > 2)
        close(console);
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0
        || mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        die("mounting /proc and /sys");
    load_modules();
    mount_root();
    hand_over();
    return 1;
}
