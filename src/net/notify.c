// SPDX-License-Identifier: MIT
/* notify.c - telling a service manager: one datagram to a local socket, as sd_notify(3) describes it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weft/server.h>

/* Its length, or a negative errno. A name that begins with '@' is abstract: it lies in no directory. */
static int make_address(struct sockaddr_un *address, const char *path)
{
    size_t length = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || path[1] == '\0') {
        return -EAFNOSUPPORT;
    }
    if (length >= sizeof address->sun_path) {
        return -ENAMETOOLONG;
    }
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(address->sun_path, path, length);
    if (path[0] == '@') {
        address->sun_path[0] = '\0';
    }
    return (int)(offsetof(struct sockaddr_un, sun_path) + length);
}

int weft_notify(const char *state)
{
    struct sockaddr_un address;
    const char *path = getenv("NOTIFY_SOCKET");
    if (state == NULL) {
        return -EINVAL;
    }
    if (path == NULL || path[0] == '\0') {
        return 0;
    }
    int length = make_address(&address, path);
    if (length < 0) {
        return length;
    }
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -errno;
    }
    ssize_t sent = sendto(fd, state, strlen(state), MSG_DONTWAIT | MSG_NOSIGNAL,
                          (const struct sockaddr *)&address, (socklen_t)length);
    int rc = sent < 0 ? -errno : 1;
    close(fd);
    return rc;
}
