/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance.c - see instance.h.
 */
#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define DIR_MODE 0755
#define BACKLOG 128
#define LOCK_PATH_MAX (sizeof(((struct mg_instance *)0)->dir) + 8)

static int make_dir(const char *path, char *err, size_t errlen)
{
	struct stat st;
	int res;

	if (mkdir(path, DIR_MODE) == 0)
		return 0;
	res = errno;
	if (res == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	(void)snprintf(
		err, errlen, /* cut is fine */
		"cannot make the folder %s: %s; set runtime_dir to a folder that this user may write, "
		"or run mangod as root",
		path, strerror(res));
	return -res;
}

/* All folders on the way as well. */
static int make_dirs(char *path, char *err, size_t errlen)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int res;

		*slash = '\0';
		res = make_dir(path, err, errlen);
		*slash = '/';
		if (res < 0)
			return res;
	}
	return make_dir(path, err, errlen);
}

static int refuse_second(int fd, const struct mg_conf *conf, char *err, size_t errlen)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = '\0';
	(void)snprintf(
		err, errlen, /* cut is fine */
		"instance \"%s\" runs already (process %ld); stop it, or choose another `instance:` name",
		conf->instance, strtol(pid, NULL, 10));
	return -EBUSY;
}

/* 0, -errno, or -EAGAIN when the file was removed by its last holder in between. */
static int try_lock(struct mg_instance *instance, const char *path, const struct mg_conf *conf,
		    char *err, size_t errlen)
{
	struct stat held;
	struct stat named;
	char pid[16];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	int res;

	if (fd < 0) {
		res = -errno;
		(void)snprintf(err, errlen, "cannot open %s: %s; is the folder another user's?",
			       path, strerror(-res)); /* cut is fine */
		return res;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		res = refuse_second(fd, conf, err, errlen);
		close(fd);
		return res;
	}
	if (fstat(fd, &held) < 0 || stat(path, &named) < 0 || held.st_ino != named.st_ino) {
		close(fd);
		return -EAGAIN;
	}
	(void)snprintf(pid, sizeof(pid), "%ld\n", (long)getpid()); /* fits */
	/* Only for people: the lock itself counts. */
	if (ftruncate(fd, 0) == 0)
		(void)!pwrite(fd, pid, strlen(pid), 0);
	instance->lock_fd = fd;
	return 0;
}

int mg_instance_open(struct mg_instance *instance, const struct mg_conf *conf, char *err,
		     size_t errlen)
{
	char lock[LOCK_PATH_MAX];
	int res;

	instance->lock_fd = -1;
	(void)snprintf(instance->dir, sizeof(instance->dir), "%s/%s", conf->runtime_dir,
		       conf->instance); /* fits */
	res = make_dirs(instance->dir, err, errlen);
	if (res < 0)
		return res;
	(void)snprintf(lock, sizeof(lock), "%s/lock", instance->dir); /* fits */
	do {
		res = try_lock(instance, lock, conf, err, errlen);
	} while (res == -EAGAIN);
	return res;
}

void mg_instance_close(struct mg_instance *instance)
{
	char lock[LOCK_PATH_MAX];

	if (instance->lock_fd < 0)
		return;
	(void)snprintf(lock, sizeof(lock), "%s/lock", instance->dir); /* fits */
	(void)unlink(lock);         /* while it is held: nobody else can have taken it */
	(void)rmdir(instance->dir); /* stays if somebody put something there */
	close(instance->lock_fd);
	instance->lock_fd = -1;
}

static int bind_path(int fd, const struct mg_unix_listen *conf)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct stat st;

	if (strlen(conf->path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, conf->path, strlen(conf->path) + 1);
	if (lstat(conf->path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		if (unlink(conf->path) < 0)
			return -errno;
	}
	/* The mode of the descriptor, less the umask, becomes that of the file: it is never open to more. */
	if (fchmod(fd, conf->mode) < 0 || bind(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    chmod(conf->path, conf->mode) < 0)
		return -errno;
	if ((conf->uid != (uid_t)-1 || conf->gid != (gid_t)-1) &&
	    chown(conf->path, conf->uid, conf->gid) < 0)
		return -errno;
	return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

int mg_unix_listen(const struct mg_unix_listen *conf, char *err, size_t errlen)
{
	int fd = socket(AF_UNIX, conf->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int res = fd < 0 ? -errno : bind_path(fd, conf);

	if (res == 0)
		return fd;
	(void)snprintf(err, errlen, "cannot listen on %s: %s; %s", conf->path,
		       strerror(-res), /* cut is fine */
		       res == -EEXIST ? "it is not a socket: move it away"
		       : res == -EPERM
			       ? "only root may give it to another user (attach.user, attach.group)"
			       : "may this user write there?");
	if (fd >= 0)
		close(fd);
	return res;
}
