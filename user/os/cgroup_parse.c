/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who names control groups, and where its source says how:
 *
 *   docker       moby, daemon/oci_linux.go: "system.slice:docker:ID" with the driver systemd, else
 *                /docker/ID
 *   containerd   internal/cri/server, getCgroupsPath(): "SLICE:cri-containerd:ID" below a slice,
 *                else PARENT/ID. Without CRI: /NAMESPACE/ID (oci.WithNamespacedCgroup())
 *   nerdctl      pkg/cmd/container, generateCgroupPath(): "system.slice:nerdctl:ID"
 *   cri-o        internal/config/cgmgr, ContainerCgroupPath(): "SLICE:crio:ID", else PARENT/crio-ID
 *   podman       libpod: "machine.slice:libpod:ID", /libpod_parent/libpod-ID; a container of a
 *                service (--cgroups=split): libpod-payload-ID below it
 *   Kubernetes   pkg/kubelet/cm, CgroupName.ToSystemd() and .ToCgroupfs(): kubepods, then the QoS
 *                class unless that is Guaranteed, then pod and the UID; in slices "-" in it is "_"
 *   LXC          src/lxc/cgroups/cgroup.h: lxc.payload.NAME; lxc/NAME up to 3.x; payload of Incus
 *                and LXD, too
 *   systemd      systemd.unit(5); src/basic/cgroup-util.c, cg_escape(): "_" before a name that
 *                might be a file of the kernel. systemd-nspawn: machine-NAME.scope, or
 *                systemd-nspawn@NAME.service
 *
 * "SLICE:PREFIX:ID" is what a runtime is told. It becomes SLICE/PREFIX-ID.scope (opencontainers'
 * cgroups, systemd/common.go, getUnitName()), and where runtime and kubelet use different drivers,
 * a folder of that very name. */
#include "os/cgroup_parse.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct part {
	const char *text;
	size_t length;
};

/* --- texts --- */

static bool is(const struct part *part, const char *text)
{
	return part->length == strlen(text) && !memcmp(part->text, text, part->length);
}

/* Takes away what the part begins with. */
static bool skip(struct part *part, const char *begin)
{
	size_t length = strlen(begin);

	if (part->length < length || memcmp(part->text, begin, length) != 0)
		return false;
	part->text += length;
	part->length -= length;
	return true;
}

/* Takes away what the part ends with, unless nothing would be left. */
static bool cut(struct part *part, const char *end)
{
	size_t length = strlen(end);

	if (part->length <= length || memcmp(part->text + part->length - length, end, length) != 0)
		return false;
	part->length -= length;
	return true;
}

static void copy(char *to, size_t size, const struct part *part)
{
	snprintf(to, size, "%.*s", (int)(part->length < size ? part->length : size), part->text);
}

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* systemd.unit(5): bytes that a unit's name can't have are "\x" and two digits. A NUL is left as it
 * is written. */
static void copy_unescaped(char *to, size_t size, const struct part *part)
{
	size_t used = 0, i;

	for (i = 0; i < part->length && used + 1 < size; i++) {
		const char *at = part->text + i;
		int high = -1, low = -1;

		if (part->length - i >= 4 && at[0] == '\\' && at[1] == 'x') {
			high = digit(at[2]);
			low = digit(at[3]);
		}
		if (high < 0 || low < 0 || !(high | low)) {
			to[used++] = *at;
			continue;
		}
		to[used++] = (char)(high << 4 | low);
		i += 3;
	}
	to[used] = '\0';
}

static bool holds(const struct part *part, const char *text)
{
	return memmem(part->text, part->length, text, strlen(text));
}

/* --- Kubernetes --- */

/* Takes the UID of a Pod: hexadecimal digits, and "-", which is "_" in slices. */
static bool take_pod(struct cgroup_parsed *parsed, const struct part *uid)
{
	size_t i;

	if (!uid->length || uid->length >= sizeof(parsed->pod))
		return false;
	for (i = 0; i < uid->length; i++)
		if (digit(uid->text[i]) < 0 && uid->text[i] != '-' && uid->text[i] != '_')
			return false;
	for (i = 0; i < uid->length; i++)
		parsed->pod[i] = uid->text[i] == '_' ? '-' : uid->text[i];
	parsed->pod[i] = '\0';
	return true;
}

static void set_qos(struct cgroup_parsed *parsed, const struct part *part)
{
	static const char *const classes[] = {"burstable", "besteffort"};
	size_t i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (is(part, classes[i]))
			snprintf(parsed->qos, sizeof(parsed->qos), "%s", classes[i]);
}

/* "kubepods-burstable-podUID", also with more in front: kind has a "kubelet-" there. */
static void take_pod_slice(struct cgroup_parsed *parsed, struct part slice)
{
	const char *at = memmem(slice.text, slice.length, "kubepods", strlen("kubepods"));
	struct part qos = {};

	if (!at)
		return;
	slice.length -= (size_t)(at - slice.text);
	slice.text = at;
	skip(&slice, "kubepods");
	if (!skip(&slice, "-"))
		return;
	at = memchr(slice.text, '-', slice.length);
	if (at) {
		qos = (struct part){slice.text, (size_t)(at - slice.text)};
		slice.length -= qos.length + 1;
		slice.text = at + 1;
	}
	if (!skip(&slice, "pod") || !take_pod(parsed, &slice))
		return;
	snprintf(parsed->qos, sizeof(parsed->qos), "guaranteed");
	set_qos(parsed, &qos);
}

/* kubepods/burstable/podUID. `above` and `top` are the two parts above it. */
static void take_pod_folder(struct cgroup_parsed *parsed, struct part part,
			    const struct part *above, const struct part *top)
{
	bool guaranteed = is(above, "kubepods");

	if ((!guaranteed && !is(top, "kubepods")) || !skip(&part, "pod") ||
	    !take_pod(parsed, &part))
		return;
	snprintf(parsed->qos, sizeof(parsed->qos), "guaranteed");
	if (!guaranteed)
		set_qos(parsed, above);
}

/* --- containers --- */

static void set_container(struct cgroup_parsed *parsed, const char *runtime)
{
	parsed->container = true;
	snprintf(parsed->runtime, sizeof(parsed->runtime), "%s", runtime);
	*parsed->id = *parsed->name = '\0';
}

/* Takes away the id that the part ends with, and what separates it. NULL: it has none. */
static const char *cut_id(struct part *part)
{
	const char *id;
	size_t i;

	cut(part, ".scope");
	if (part->length < CGROUP_ID_DIGITS)
		return NULL;
	id = part->text + part->length - CGROUP_ID_DIGITS;
	for (i = 0; i < CGROUP_ID_DIGITS; i++)
		if (digit(id[i]) < 0)
			return NULL;
	part->length -= CGROUP_ID_DIGITS;
	if (part->length && !strchr("-:", id[-1]))
		return NULL;
	part->length -= part->length > 0;
	return id;
}

/* What runtimes write before an id. Others are containers, too, of a runtime that is not known. */
static const struct {
	const char *prefix, *runtime;
} prefixes[] = {
	{"docker", "docker"},	      {"cri-containerd", "containerd"},
	{"containerd", "containerd"}, {"crio", "cri-o"},
	{"libpod", "podman"},	      {"libpod-payload", "podman"},
	{"nerdctl", "nerdctl"},
};

/* And in which folders they put bare ids. */
static const struct {
	const char *folder, *runtime;
} folders[] = {
	{"docker", "docker"},
	{"libpod_parent", "podman"},
	{"default", "containerd"},
	{"k8s.io", "containerd"},
};

static const char *runtime_of(const struct part *prefix, const struct part *above)
{
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (is(prefix, prefixes[i].prefix))
			return prefixes[i].runtime;
	for (i = 0; !prefix->length && i < sizeof(folders) / sizeof(folders[0]); i++)
		if (is(above, folders[i].folder))
			return folders[i].runtime;
	return "";
}

/* A container by its id. conmon watches one of podman or cri-o, and is not in it. */
static bool take_id(struct cgroup_parsed *parsed, struct part part, const struct part *above)
{
	const char *id = cut_id(&part), *colon;

	if (!id || holds(&part, "-conmon"))
		return false;
	/* Of "SLICE:PREFIX:ID" the slice may be that of a Pod. */
	colon = memrchr(part.text, ':', part.length);
	if (colon) {
		struct part slice = {part.text, (size_t)(colon - part.text)};

		part.text = colon + 1;
		part.length -= slice.length + 1;
		cut(&slice, ".slice");
		take_pod_slice(parsed, slice);
	}
	set_container(parsed, runtime_of(&part, above));
	snprintf(parsed->id, sizeof(parsed->id), "%.*s", CGROUP_ID_DIGITS, id);
	return true;
}

static bool take_lxc(struct cgroup_parsed *parsed, struct part part, const struct part *above)
{
	if (!is(above, "lxc") && !is(above, "lxc.payload") && !skip(&part, "lxc.payload."))
		return false;
	if (!part.length)
		return false;
	cut(&part, ".scope");
	set_container(parsed, "lxc");
	copy(parsed->name, sizeof(parsed->name), &part);
	return true;
}

/* Machines of systemd. libvirt has scopes of that kind for virtual machines: no containers. */
static bool take_machine(struct cgroup_parsed *parsed, struct part part)
{
	bool scope = cut(&part, ".scope") && skip(&part, "machine-") && part.length;
	bool service = !scope && cut(&part, ".service") && skip(&part, "systemd-nspawn@");

	if ((!scope && !service) || !part.length || skip(&part, "qemu\\x2d"))
		return false;
	set_container(parsed, "nspawn");
	copy_unescaped(parsed->name, sizeof(parsed->name), &part);
	return true;
}

/* --- systemd --- */

/* A user can make slices of any name, but only below a unit of the user's own. */
static void take_user(struct cgroup_parsed *parsed, struct part slice)
{
	if (!skip(&slice, "user-") || !slice.length || slice.length >= sizeof(parsed->user))
		return;
	for (size_t i = 0; i < slice.length; i++)
		if (!isdigit((unsigned char)slice.text[i]))
			return;
	copy(parsed->user, sizeof(parsed->user), &slice);
	if (!parsed->outer_length)
		copy(parsed->owner, sizeof(parsed->owner), &slice);
}

/* True: the part is a service or a scope. */
static bool take_unit(struct cgroup_parsed *parsed, struct part part)
{
	struct part bare;

	/* cg_escape() */
	skip(&part, "_");
	bare = part;
	if (cut(&bare, ".slice")) {
		copy_unescaped(parsed->slice, sizeof(parsed->slice), &part);
		take_user(parsed, bare);
		take_pod_slice(parsed, bare);
		return false;
	}
	if (!cut(&bare, ".service") && !cut(&bare, ".scope"))
		return false;
	copy(parsed->unit, sizeof(parsed->unit), &part);
	copy_unescaped(parsed->unit_name, sizeof(parsed->unit_name), &part);
	*parsed->session = '\0';
	if (part.length > bare.length && !memcmp(part.text + bare.length, ".scope", 6) &&
	    skip(&bare, "session-"))
		copy(parsed->session, sizeof(parsed->session), &bare);
	return true;
}

/* --- the whole path --- */

/* Of a group that was removed while processes were in it. */
static size_t length_of(const char *path)
{
	struct part whole = {path, strlen(path)};

	cut(&whole, " (deleted)");
	return whole.length;
}

void cgroup_parse(const char *path, struct cgroup_parsed *parsed)
{
	struct part above = {"", 0}, top = {"", 0}, part;
	const char *end = path + length_of(path), *at;
	size_t length;

	*parsed = (struct cgroup_parsed){};
	for (at = path; at < end; at = part.text + part.length) {
		while (at < end && *at == '/')
			at++;
		part = (struct part){at, strcspn(at, "/")};
		if (part.length > (size_t)(end - at))
			part.length = (size_t)(end - at);
		/* It leads out of our cgroup namespace. */
		if (is(&part, ".."))
			continue;
		length = (size_t)(part.text + part.length - path);
		if (take_unit(parsed, part))
			parsed->unit_length = length;
		take_pod_folder(parsed, part, &above, &top);
		if (take_id(parsed, part, &above) || take_lxc(parsed, part, &above) ||
		    take_machine(parsed, part))
			parsed->length = length;
		if (!parsed->outer_length && (parsed->unit_length || parsed->length))
			parsed->outer_length = length;
		top = above;
		above = part;
	}
}
