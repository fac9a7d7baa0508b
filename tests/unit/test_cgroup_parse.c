/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* os/cgroup_parse.c: paths as runtimes, the kubelet and systemd make them; and any bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "model/cgroup_name.h"
#include "os/cgroup_parse.h"

#define A    "5d6aaa6d0e4b7ad3c9d5a0d6c2c7b65b9cbf7cd31ff2bbaca8b8be9a8a3d8f10"
#define B    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID  "8f2d7c3e-1b7a-4c55-9d0e-0a1b2c3d4e5f"
#define UID_ "8f2d7c3e_1b7a_4c55_9d0e_0a1b2c3d4e5f"
#define SOLO "6f33a41b7c0bd1d5a3b4fbbdb4eb0d51" /* of a static Pod */

static const struct {
	const char *path;
	const char *shown; /* as cgroup_name() writes it */
	const char *runtime, *id, *name;
	const char *pod, *qos, *unit, *slice;
} containers[] = {
	/* docker: driver systemd, driver cgroupfs, rootless, in docker */
	{.path = "/system.slice/docker-" A ".scope",
	 "docker:5d6aaa6d0e4b",
	 "docker",
	 A,
	 .unit = "docker-" A ".scope",
	 .slice = "system.slice"},
	{.path = "/docker/" A, "docker:5d6aaa6d0e4b", "docker", A},
	{.path = "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" A ".scope",
	 "docker:5d6aaa6d0e4b of user 1000",
	 "docker",
	 A,
	 .unit = "docker-" A ".scope",
	 .slice = "user.slice"},
	{.path = "/docker/" A "/docker/" B,
	 "docker:0123456789ab in docker:5d6aaa6d0e4b",
	 "docker",
	 B},
	{.path = "/docker/" A "/init.scope",
	 "docker:5d6aaa6d0e4b",
	 "docker",
	 A,
	 .unit = "init.scope"},
	{.path = "/docker/" A "/system.slice/nginx.service",
	 "docker:5d6aaa6d0e4b",
	 "docker",
	 A,
	 .unit = "nginx.service",
	 .slice = "system.slice"},
	{.path = "memory:/docker/" A, "docker:5d6aaa6d0e4b", "docker", A},
	{.path = "/docker/" A " (deleted)", "docker:5d6aaa6d0e4b", "docker", A},
	{.path = "/system.slice/docker.service/system.slice:docker:" A,
	 "docker:5d6aaa6d0e4b in docker.service",
	 "docker",
	 A,
	 .unit = "docker.service",
	 .slice = "system.slice"},
	/* containerd without Kubernetes, nerdctl */
	{.path = "/default/" A, "containerd:5d6aaa6d0e4b", "containerd", A},
	{.path = "/k8s.io/" A, "containerd:5d6aaa6d0e4b", "containerd", A},
	{.path = "/system.slice/nerdctl-" A ".scope",
	 "nerdctl:5d6aaa6d0e4b",
	 "nerdctl",
	 A,
	 .unit = "nerdctl-" A ".scope",
	 .slice = "system.slice"},
	/* Kubernetes, driver systemd */
	{.path = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_
		 ".slice/cri-containerd-" A ".scope",
	 "containerd:5d6aaa6d0e4b",
	 "containerd",
	 A,
	 .pod = UID,
	 .qos = "burstable",
	 .unit = "cri-containerd-" A ".scope",
	 .slice = "kubepods-burstable-pod" UID_ ".slice"},
	{.path = "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" A ".scope",
	 "cri-o:5d6aaa6d0e4b",
	 "cri-o",
	 A,
	 .pod = UID,
	 .qos = "guaranteed",
	 .unit = "crio-" A ".scope",
	 .slice = "kubepods-pod" UID_ ".slice"},
	{.path = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" SOLO
		 ".slice/docker-" A ".scope",
	 "docker:5d6aaa6d0e4b",
	 "docker",
	 A,
	 .pod = SOLO,
	 .qos = "besteffort",
	 .unit = "docker-" A ".scope",
	 .slice = "kubepods-besteffort-pod" SOLO ".slice"},
	/* driver cgroupfs */
	{.path = "/kubepods/burstable/pod" UID "/" A,
	 "container:5d6aaa6d0e4b",
	 "",
	 A,
	 .pod = UID,
	 .qos = "burstable"},
	{.path = "/kubepods/pod" UID "/" A,
	 "container:5d6aaa6d0e4b",
	 "",
	 A,
	 .pod = UID,
	 .qos = "guaranteed"},
	{.path = "/kubepods/besteffort/pod" SOLO "/crio-" A,
	 "cri-o:5d6aaa6d0e4b",
	 "cri-o",
	 A,
	 .pod = SOLO,
	 .qos = "besteffort"},
	/* kubelet with one, containerd with the other */
	{.path = "/system.slice/containerd.service/kubepods-burstable-pod" UID_
		 ".slice:cri-containerd:" A,
	 "containerd:5d6aaa6d0e4b in containerd.service",
	 "containerd",
	 A,
	 .pod = UID,
	 .qos = "burstable",
	 .unit = "containerd.service",
	 .slice = "system.slice"},
	/* kind: a node is a container */
	{.path = "/docker/" B "/kubelet/kubepods/burstable/pod" UID "/" A,
	 "container:5d6aaa6d0e4b in docker:0123456789ab",
	 "",
	 A,
	 .pod = UID,
	 .qos = "burstable"},
	{.path = "/system.slice/docker-" B ".scope/kubelet.slice/kubelet-kubepods.slice/"
		 "kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod" UID_
		 ".slice/cri-containerd-" A ".scope",
	 "containerd:5d6aaa6d0e4b in docker:0123456789ab",
	 "containerd",
	 A,
	 .pod = UID,
	 .qos = "besteffort",
	 .unit = "cri-containerd-" A ".scope",
	 .slice = "kubelet-kubepods-besteffort-pod" UID_ ".slice"},
	/* docker in a Pod */
	{.path = "/kubepods/burstable/pod" UID "/" A "/docker/" B,
	 "docker:0123456789ab in container:5d6aaa6d0e4b",
	 "docker",
	 B,
	 .pod = UID,
	 .qos = "burstable"},
	/* podman: root's, a user's, without systemd, as a service */
	{.path = "/machine.slice/libpod-" A ".scope/container",
	 "podman:5d6aaa6d0e4b",
	 "podman",
	 A,
	 .unit = "libpod-" A ".scope",
	 .slice = "machine.slice"},
	{.path = "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" A ".scope",
	 "podman:5d6aaa6d0e4b of user 1000",
	 "podman",
	 A,
	 .unit = "libpod-" A ".scope",
	 .slice = "user.slice"},
	{.path = "/libpod_parent/libpod-" A, "podman:5d6aaa6d0e4b", "podman", A},
	{.path = "/libpod_parent/" A, "podman:5d6aaa6d0e4b", "podman", A},
	{.path = "/system.slice/web.service/libpod-payload-" A,
	 "podman:5d6aaa6d0e4b in web.service",
	 "podman",
	 A,
	 .unit = "web.service",
	 .slice = "system.slice"},
	/* an id, and not whose */
	{.path = "/" A, "container:5d6aaa6d0e4b", "", A},
	{.path = "/actions_job/" A, "container:5d6aaa6d0e4b", "", A},
	/* LXC, Incus, LXD, Proxmox */
	{.path = "/lxc.payload.web", "lxc:web", "lxc", "", "web"},
	{.path = "/lxc.payload.web/system.slice/nginx.service",
	 "lxc:web",
	 "lxc",
	 "",
	 "web",
	 .unit = "nginx.service",
	 .slice = "system.slice"},
	{.path = "/lxc/101/ns/init.scope", "lxc:101", "lxc", "", "101", .unit = "init.scope"},
	{.path = "/lxc.payload/web", "lxc:web", "lxc", "", "web"},
	{.path = "/lxc.payload.a/docker/" A, "docker:5d6aaa6d0e4b in lxc:a", "docker", A},
	{.path = "/docker/" A "/lxc.payload.b", "lxc:b in docker:5d6aaa6d0e4b", "lxc", "", "b"},
	/* systemd-nspawn */
	{.path = "/machine.slice/machine-my\\x2dweb.scope/payload",
	 "nspawn:my-web",
	 "nspawn",
	 "",
	 "my-web",
	 .unit = "machine-my\\x2dweb.scope",
	 .slice = "machine.slice"},
	{.path = "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
	 "nspawn:web",
	 "nspawn",
	 "",
	 "web",
	 .unit = "init.scope",
	 .slice = "machine.slice"},
};

static const struct {
	const char *path, *shown;
	const char *unit, *slice, *session, *user, *pod;
} others[] = {
	{.path = "", ""},
	{.path = "/", ""},
	{.path = "//", ""},
	{.path = "/..", ".."},
	{.path = "/../../lxc/..", ".."},
	{.path = "/system.slice/api.service", "api.service", "api.service", "system.slice"},
	{.path = "/system.slice/api.service/worker/7",
	 "api.service",
	 "api.service",
	 "system.slice"},
	{.path = "/system.slice/system-getty.slice/getty@tty1.service",
	 "getty@tty1.service",
	 "getty@tty1.service",
	 "system-getty.slice"},
	{.path = "/system.slice/a\\x2db\\x5cc.service",
	 "a-b\\c.service",
	 "a\\x2db\\x5cc.service",
	 "system.slice"},
	{.path = "/system.slice/a\\x00\\x2.service",
	 "a\\x00\\x2.service",
	 "a\\x00\\x2.service",
	 "system.slice"},
	{.path = "/system.slice/_cgroup.service",
	 "cgroup.service",
	 "cgroup.service",
	 "system.slice"},
	{.path = "/batch.slice", "batch.slice", .slice = "batch.slice"},
	{.path = "/user.slice/user-1000.slice/session-3.scope",
	 "session-3.scope",
	 "session-3.scope",
	 "user-1000.slice",
	 "3",
	 "1000"},
	{.path = "/user.slice/user-1000.slice/session-c2.scope/x",
	 "session-c2.scope",
	 "session-c2.scope",
	 "user-1000.slice",
	 "c2",
	 "1000"},
	{.path = "/user.slice/user-1000.slice/user@1000.service/app.slice/"
		 "app-org.gnome.Terminal.slice/"
		 "vte-spawn-1.scope",
	 "vte-spawn-1.scope of user 1000",
	 "vte-spawn-1.scope",
	 "app-org.gnome.Terminal.slice",
	 .user = "1000"},
	{.path = "/user.slice/user-x.slice", "user-x.slice", .slice = "user-x.slice"},
	{.path = "/user.slice/user-123456789012.slice",
	 "user-123456789012.slice",
	 .slice = "user-123456789012.slice"},
	{.path = "/user.slice/user-1.slice/session-1.scope/a.service",
	 "a.service of user 1",
	 "a.service",
	 "user-1.slice",
	 .user = "1"},
	{.path = "/init.scope", "init.scope", "init.scope"},
	{.path = "/process_api/job", "job"},
	/* A Pod without a container: what the kubelet keeps for all of it. */
	{.path = "/kubepods/burstable/pod" UID, "pod" UID, .pod = UID},
	{.path = "/kubepods.slice/kubepods-burstable.slice",
	 "kubepods-burstable.slice",
	 .slice = "kubepods-burstable.slice"},
	{.path = "/other/pod" UID, "pod" UID},
	{.path = "/kubepods/podNOT", "podNOT"},
	{.path = "/kubepods/pod", "pod"},
	/* no ids */
	{.path = "/docker/5d6aaa6d0e4b", "5d6aaa6d0e4b"},
	{.path = "/docker/" A "0", A "0"},
	{.path = "/docker/x" A, "x" A},
	{.path = "/docker/5D6AAA6D0E4B7AD3C9D5A0D6C2C7B65B9CBF7CD31FF2BBACA8B8BE9A8A3D8F10",
	 "5D6AAA6D0E4B7AD3C9D5A0D6C2C7B65B9CBF7CD31FF2BBACA8B8BE9A8A3D8F10"},
	/* what watches a container is not in it */
	{.path = "/machine.slice/libpod-conmon-" A ".scope",
	 "libpod-conmon-" A ".scope",
	 "libpod-conmon-" A ".scope",
	 "machine.slice"},
	{.path = "/system.slice/crio-conmon-" A ".scope",
	 "crio-conmon-" A ".scope",
	 "crio-conmon-" A ".scope",
	 "system.slice"},
	{.path = "/lxc.monitor.web", "lxc.monitor.web"},
	{.path = "/lxc", "lxc"},
	{.path = "/lxc.payload.", "lxc.payload."},
	/* a virtual machine of libvirt */
	{.path = "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
	 "machine-qemu-1-vm.scope",
	 "machine-qemu\\x2d1\\x2dvm.scope",
	 "machine.slice"},
	{.path = ".service", ".service"},
	{.path = "/.scope/.slice", ".slice"},
};

static void same(const char *path, const char *what, const char *is, const char *wanted)
{
	if (strcmp(is, wanted ?: "") != 0)
		fail_msg("%s: %s is \"%s\", not \"%s\"", path, what, is, wanted ?: "");
}

static void test_containers(void **state)
{
	struct cgroup_parsed p;
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(containers) / sizeof(containers[0]); i++) {
		const char *path = containers[i].path;

		cgroup_parse(path, &p);
		if (!p.container)
			fail_msg("%s is no container", path);
		assert_true(cgroup_name(path, name, sizeof(name)));
		same(path, "the name shown", name, containers[i].shown);
		same(path, "the runtime", p.runtime, containers[i].runtime);
		same(path, "the id", p.id, containers[i].id);
		same(path, "the name", p.name, containers[i].name);
		same(path, "the Pod", p.pod, containers[i].pod);
		same(path, "the QoS class", p.qos, containers[i].qos);
		same(path, "the unit", p.unit, containers[i].unit);
		same(path, "the slice", p.slice, containers[i].slice);
	}
}

static void test_others(void **state)
{
	struct cgroup_parsed p;
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const char *path = others[i].path;

		cgroup_parse(path, &p);
		if (p.container || *p.runtime || *p.id || *p.name)
			fail_msg("%s is a container", path);
		assert_false(cgroup_name(path, name, sizeof(name)));
		same(path, "the name shown", name, others[i].shown);
		same(path, "the unit", p.unit, others[i].unit);
		same(path, "the slice", p.slice, others[i].slice);
		same(path, "the session", p.session, others[i].session);
		same(path, "the user", p.user, others[i].user);
		same(path, "the Pod", p.pod, others[i].pod);
	}
}

/* Names that no kernel allows, and control characters: cut, and as they are. */
static void test_hostile(void **state)
{
	static char path[3 * 4096];
	struct cgroup_parsed p;
	char name[64];

	(void)state;
	memset(path, 'a', sizeof(path) - 1);
	memcpy(path, "/lxc.payload.", strlen("/lxc.payload."));
	cgroup_parse(path, &p);
	assert_true(p.container);
	assert_int_equal(strlen(p.name), CGROUP_NAME_MAX - 1);
	assert_true(cgroup_name(path, name, sizeof(name)));
	assert_int_equal(strlen(name), sizeof(name) - 1);
	memcpy(path + sizeof(path) - 9, ".service", 8);
	memcpy(path, "/system.slice", strlen("/system.slice"));
	cgroup_parse(path, &p);
	assert_false(p.container);
	memset(path, '/', sizeof(path) - 1);
	cgroup_parse(path, &p);
	assert_false(p.container);
	cgroup_parse("/system.slice/\x1b[31m\\x1b[2J\n.service", &p);
	assert_string_equal(p.unit, "\x1b[31m\\x1b[2J\n.service");
	assert_string_equal(p.unit_name, "\x1b[31m\x1b[2J\n.service");
	cgroup_parse("/lxc.payload.\xff\xfe\x01", &p);
	assert_string_equal(p.name, "\xff\xfe\x01");
}

static void ends(const char *text, size_t size)
{
	assert_non_null(memchr(text, '\0', size));
}

/* Pieces of real paths in any order, cut anywhere, with bytes changed; each in a block of its own
 * size, so that a sanitizer sees a read beyond it. */
static void test_any(void **state)
{
	static const char *const pieces[] = {A,
					     UID,
					     "docker",
					     "-",
					     ":",
					     ".scope",
					     ".slice",
					     ".service",
					     "/",
					     "/",
					     "kubepods",
					     "pod",
					     "lxc",
					     "lxc.payload.",
					     "machine-",
					     "systemd-nspawn@",
					     "user-",
					     "session-",
					     "\\x2d",
					     "\\x",
					     "_",
					     "..",
					     " (deleted)",
					     "burstable",
					     "libpod",
					     "conmon"};
	size_t count = sizeof(pieces) / sizeof(pieces[0]);
	struct cgroup_parsed p;
	char text[2048], name[40];

	(void)state;
	srandom(7);
	for (int round = 0; round < 50000; round++) {
		size_t used = 0, length;
		char *path;

		for (long n = random() % 12; n >= 0; n--)
			used += (size_t)snprintf(text + used, sizeof(text) - used, "%s",
						 pieces[(size_t)random() % count]);
		length = (size_t)random() % (used + 1);
		if (round & 1)
			text[(size_t)random() % (used + 1)] = (char)random();
		path = strndup(text, length);
		assert_non_null(path);
		cgroup_parse(path, &p);
		ends(p.id, sizeof(p.id));
		ends(p.name, sizeof(p.name));
		ends(p.pod, sizeof(p.pod));
		ends(p.unit, sizeof(p.unit));
		ends(p.unit_name, sizeof(p.unit_name));
		ends(p.slice, sizeof(p.slice));
		ends(p.user, sizeof(p.user));
		ends(p.owner, sizeof(p.owner));
		assert_true(p.outer_length <= strlen(path));
		assert_true((p.length || p.unit_length) == (p.outer_length > 0));
		cgroup_place_name(path, name, sizeof(name));
		ends(name, sizeof(name));
		if (p.container)
			assert_true(!*p.id != !*p.name);
		assert_int_equal(cgroup_name(path, name, sizeof(name)), p.container);
		free(path);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
