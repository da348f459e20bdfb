/* SPDX-License-Identifier: Apache-2.0 */
#include "libclient/core/attach.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libclient/core/address.h"
#include "libclient/core/transport_local.h"
#include "proto/base/bits.h"
#include "proto/base/spsc.h"

/* Order of descriptors in the reply. */
enum { FD_REGION, FD_INFO, FD_EVENT, FD_WORKERS };

/* Where is the attach socket? Only asked when the control transport is another one. */
static int ask_attach_path(struct mg_client *client, char *path, size_t len)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_HEALTH_CHECK, 0);
	int err;

	if (msg == NULL)
		return -ENOMEM;
	err = client->ops->request(client->control, msg);
	if (err == 0)
		err = msg->hdr.status;
	if (err == 0 && (msg->hdr.count != 1 || msg->health[0].attach_path[0] == '\0'))
		err = -EPROTO;
	if (err == 0 && strlen(msg->health[0].attach_path) >= len)
		err = -ENAMETOOLONG;
	if (err == 0)
		memcpy(path, msg->health[0].attach_path, strlen(msg->health[0].attach_path) + 1);
	free(msg);
	return err;
}

static int open_local(struct mg_client *client, const struct mg_transport_params *params)
{
	char path[MG_ADDRESS_TARGET_MAX];
	int err;

	if (client->ops == &mg_transport_local_ops) {
		client->local = client->control;
	} else {
		err = ask_attach_path(client, path, sizeof(path));
		if (err < 0)
			return err;
		err = mg_transport_local_ops.open(path, params, &client->local);
		if (err < 0)
			return err;
		if (strlen(path) < sizeof(client->attach_path))
			memcpy(client->attach_path, path, strlen(path) + 1);
	}
	client->attach_fd = mg_transport_local_fd(client->local);
	return 0;
}

static void program_name(char *buf, size_t len)
{
	size_t n = strlen(program_invocation_short_name);

	n = n < len ? n : len - 1;
	memcpy(buf, program_invocation_short_name, n);
	buf[n] = '\0';
}

static int request_attach(struct mg_client *client, struct mg_ctl_msg *msg, int *fds,
			  uint32_t *ret_nr)
{
	struct mg_ctl_attach *a = &msg->attach[0];
	int err;

	mg_ctl_init(msg, MG_CTL_ATTACH, 0, 1);
	a->abi_major = MG_SHM_ABI_MAJOR;
	a->abi_minor = MG_SHM_ABI_MINOR;
	a->abi_hash = mg_shm_abi_hash();
	a->parent = client->parent;
	program_name(a->program, sizeof(a->program));
	err = mg_transport_local_request_fds(client->local, msg, fds, MG_TRANSPORT_FDS_MAX, ret_nr);
	if (err < 0)
		return err;
	if (msg->hdr.status < 0) {
		mg_log(client->env.logp, MG_LOG_ERROR, "attach", "status=%d error=\"%s\"",
		       msg->hdr.status,
		       msg->hdr.text[0] != '\0' ? msg->hdr.text : strerror(-msg->hdr.status));
		memcpy(client->error_text, msg->hdr.text, sizeof(client->error_text));
		return msg->hdr.status;
	}
	return msg->hdr.count == 1 ? 0 : -EPROTO;
}

/* The mapping, or NULL and a negative errno. */
static void *map_fd(int fd, uint64_t bytes, int prot, int *ret_err)
{
	struct stat st;
	void *p = MAP_FAILED;

	if (fstat(fd, &st) == 0 && (st.st_size < 0 || (uint64_t)st.st_size < bytes))
		errno = EPROTO;
	else
		p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	*ret_err = p == MAP_FAILED ? -errno : 0;
	return p == MAP_FAILED ? NULL : p;
}

/* A section of `stride` or more bytes per element inside the region? */
static bool section_fits(const struct mg_shm_section *s, uint64_t stride, uint32_t count,
			 uint64_t total)
{
	if (s->stride < stride || s->count < count || s->off > total || s->off % MG_CACHE_LINE != 0)
		return false;
	return s->stride <= UINT32_MAX * 16ull && s->stride * s->count <= total - s->off;
}

static bool sections_fit(const struct mg_client *c, uint32_t nr_contexts)
{
	const struct mg_shm_section *s = c->sections;
	uint32_t producers = c->nr_workers + 1;
	uint64_t total = c->region_bytes;

	if (!mg_is_pow2(s[MG_SHM_SEC_EVENTS].entries) ||
	    !mg_is_pow2(s[MG_SHM_SEC_DOORBELLS].entries))
		return false;
	return section_fits(&s[MG_SHM_SEC_CONTEXTS], sizeof(struct mg_shm_context), nr_contexts,
			    total) &&
	       section_fits(&s[MG_SHM_SEC_EVENTS],
			    mg_spsc_bytes(s[MG_SHM_SEC_EVENTS].entries,
					  sizeof(struct mg_shm_event)),
			    nr_contexts * producers, total) &&
	       section_fits(&s[MG_SHM_SEC_DOORBELLS],
			    mg_spsc_bytes(s[MG_SHM_SEC_DOORBELLS].entries,
					  sizeof(struct mg_shm_doorbell)),
			    nr_contexts * c->nr_workers, total) &&
	       s[MG_SHM_SEC_WINDOWS].stride == sizeof(struct mg_shm_window) &&
	       section_fits(&s[MG_SHM_SEC_WINDOWS], sizeof(struct mg_shm_window), c->nr_windows,
			    total);
}

static int refuse(const struct mg_client *client, const char *what)
{
	mg_log(client->env.logp, MG_LOG_ERROR, "attach",
	       "error=\"%s; library and daemon must come from the same build (library ABI %u.%u, hash %016llx)\"",
	       what, MG_SHM_ABI_MAJOR, MG_SHM_ABI_MINOR, (unsigned long long)mg_shm_abi_hash());
	return -EPROTO;
}

static int check_region(struct mg_client *client)
{
	const struct mg_shm_header *hdr = (const struct mg_shm_header *)(const void *)client->region;

	/* acquire: pairs with the release in mg_app_region_format() */
	if (atomic_load_explicit(&hdr->magic, memory_order_acquire) != MG_SHM_MAGIC)
		return refuse(client, "the region is not one of mango's");
	if (hdr->abi_major != MG_SHM_ABI_MAJOR || hdr->abi_hash != mg_shm_abi_hash())
		return refuse(client, "the shared-memory layouts differ");
	if (hdr->total_bytes != client->region_bytes || hdr->nr_workers != client->nr_workers)
		return refuse(client, "the region contradicts the daemon");
	memcpy(client->sections, hdr->sections, sizeof(client->sections));
	client->nr_windows = hdr->nr_windows;
	if (hdr->nr_contexts > MG_SHM_CONTEXTS_MAX || client->nr_windows > 1u << 24 ||
	    !sections_fit(client, hdr->nr_contexts))
		return refuse(client, "the region's sections make no sense");
	client->windows = (struct mg_shm_window *)(void *)(client->region +
							   client->sections[MG_SHM_SEC_WINDOWS].off);
	return 0;
}

static int check_info(const struct mg_client *client)
{
	/* acquire: pairs with the daemon's release of the magic */
	if (atomic_load_explicit(&client->info->magic, memory_order_acquire) != MG_SHM_MAGIC ||
	    client->info->daemon_epoch != client->daemon_epoch)
		return refuse(client, "the info page is not this daemon's");
	return 0;
}

static int adopt(struct mg_client *client, const struct mg_ctl_attached *a, int *fds, uint32_t nr)
{
	int err;

	if (a->nr_workers == 0 || a->nr_workers > MG_SHM_WORKERS_MAX ||
	    nr != FD_WORKERS + a->nr_workers || a->region_bytes < sizeof(struct mg_shm_header) ||
	    a->context >= MG_SHM_CONTEXTS_MAX)
		return -EPROTO;
	client->region = map_fd(fds[FD_REGION], a->region_bytes, PROT_READ | PROT_WRITE, &err);
	if (client->region == NULL)
		return err;
	client->region_bytes = a->region_bytes;
	client->info = map_fd(fds[FD_INFO], sizeof(struct mg_shm_info), PROT_READ, &err);
	if (client->info == NULL)
		return err;
	client->nr_workers = a->nr_workers;
	client->daemon_epoch = a->daemon_epoch;
	client->token = a->token;
	client->share = a->share;
	err = check_region(client);
	return err < 0 ? err : check_info(client);
}

/* The descriptors that stay; the memfds are not needed once they are mapped. */
static void keep_fds(struct mg_client *client, const struct mg_ctl_attached *a, const int *fds)
{
	client->first_context = a->context;
	client->first_event_fd = fds[FD_EVENT];
	for (uint32_t w = 0; w < a->nr_workers; w++)
		client->worker_fd[w] = fds[FD_WORKERS + w];
	close(fds[FD_REGION]);
	close(fds[FD_INFO]);
}

static void unmap(struct mg_client *client)
{
	if (client->region != NULL)
		munmap(client->region, client->region_bytes);
	if (client->info != NULL)
		munmap((void *)(uintptr_t)client->info, sizeof(*client->info));
	client->region = NULL;
	client->info = NULL;
}

int mg_attach(struct mg_client *client, const struct mg_transport_params *params)
{
	int fds[MG_TRANSPORT_FDS_MAX];
	struct mg_ctl_msg *msg;
	uint32_t nr = 0;
	int err;

	msg = malloc(sizeof(*msg));
	if (msg == NULL)
		return -ENOMEM;
	err = client->local != NULL ? 0 : open_local(client, params);
	if (err < 0)
		goto free_msg;
	err = request_attach(client, msg, fds, &nr);
	if (err == 0)
		err = adopt(client, &msg->attached[0], fds, nr);
	if (err < 0)
		goto close_fds;
	keep_fds(client, &msg->attached[0], fds);
	client->attached = true;
	free(msg);
	return 0;

close_fds:
	if (err ==
	    -ETIMEDOUT) /* the session may be made yet: this connection is of no use any more */
		mg_transport_local_ops.abandon(client->local);
	for (uint32_t i = 0; i < nr; i++)
		close(fds[i]);
	unmap(client);
free_msg:
	free(msg);
	return err;
}

int mg_attach_context(struct mg_client *client, uint32_t *ret_context, int *ret_event_fd)
{
	struct mg_ctl_msg *msg = mg_client_msg(MG_CTL_CONTEXT_OPEN, 0);
	int fds[1] = { -1 };
	uint32_t nr = 0;
	int err;

	if (msg == NULL)
		return -ENOMEM;
	msg->hdr.token = client->token;
	err = mg_transport_local_request_fds(client->local, msg, fds, 1, &nr);
	if (err == 0)
		err = msg->hdr.status;
	if (err == 0 &&
	    (msg->hdr.count != 1 || nr != 1 || msg->attached[0].context >= MG_SHM_CONTEXTS_MAX))
		err = -EPROTO;
	if (err == 0) {
		*ret_context = msg->attached[0].context;
		*ret_event_fd = fds[0];
	} else if (nr == 1) {
		close(fds[0]);
	}
	free(msg);
	return err;
}

void mg_attach_undo(struct mg_client *client)
{
	unmap(client);
	if (client->first_event_fd >= 0)
		close(client->first_event_fd);
	client->first_event_fd = -1;
	for (uint32_t w = 0; client->attached && w < client->nr_workers; w++)
		close(client->worker_fd[w]);
	if (client->local != NULL && client->local != client->control)
		mg_transport_local_ops.close(client->local);
	client->local = NULL;
	client->attached = false;
}
