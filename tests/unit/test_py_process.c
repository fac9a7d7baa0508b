/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* py_process.c and cmd_ps.c with live interpreters. Each interpreter says itself what its version
 * is and where its root symbol is (ctypes); what is found from outside must be the same. Deleted
 * files need root; the embedding program needs a compiler and libpython3-dev. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "cli/command.h"
#include "os/proc.h"
#include "python/py_process.h"
#include "pythons.h"

static struct test_pythons pythons;
static struct py_image_cache *cache;
static char folder[] = "/tmp/pymem-process-XXXXXX";

/* Prints "PID VERSION ADDRESS" (0: no ctypes), then sleeps until it is killed. */
static const char script[] =
	"import os, sys, time\n"
	"address = 0\n"
	"try:\n"
	"    import ctypes\n"
	"    name = '_PyRuntime' if sys.version_info >= (3, 7) else '_PyThreadState_Current'\n"
	"    address = ctypes.addressof(ctypes.c_char.in_dll(ctypes.pythonapi, name))\n"
	"except ImportError:\n"
	"    pass\n"
	"print('%d %s %d' % (os.getpid(), sys.version.split()[0], address))\n"
	"sys.stdout.flush()\n"
	"time.sleep(100)\n";

struct child {
	pid_t pid;
	char version[32];
	uint64_t address;
};

static void start(const char *program, struct child *child)
{
	char line[128] = "";
	int out[2], pid;
	FILE *in;

	assert_int_equal(pipe(out), 0);
	child->pid = fork();
	if (child->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		close(out[1]);
		unsetenv("PYTHONHOME");
		execl(program, program, "-c", script, NULL);
		_exit(127);
	}
	assert_true(child->pid > 0);
	close(out[1]);
	in = fdopen(out[0], "r");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	fclose(in);
	assert_int_equal(sscanf(line, "%d %31s %" SCNu64, &pid, child->version, &child->address),
			 3);
	assert_int_equal(pid, child->pid);
}

static void stop(const struct child *child)
{
	kill(child->pid, SIGKILL);
	assert_int_equal(waitpid(child->pid, NULL, 0), child->pid);
}

/* Identifies a child and compares the result with what the child said. */
static void check(const struct child *child, struct py_process *process)
{
	int err = py_process_identify(cache, child->pid, process);
	uint64_t at, head = 0;

	print_message("  %s %s: %s, runtime at %#" PRIx64 " (says %#" PRIx64 ")\n",
		      process->image_path, process->version,
		      process->kind == PY_BUILD_STATIC ? "static" : "shared", process->runtime_addr,
		      child->address);
	assert_int_equal(err, child->version[0] == '2' ? -ENOTSUP : 0);
	assert_string_equal(process->version, child->version);
	if (child->address)
		assert_true(process->runtime_addr == child->address);
	if (err != 0)
		return;
	assert_int_equal(process->layout.version, process->major << 8 | process->minor);
	/* One that can't say its address must at least have a first interpreter there. */
	if (process->layout.flags & PY_TSTATE_CURRENT)
		at = process->interp_head_addr;
	else
		at = process->runtime_addr + process->layout.runtime_interp_head;
	assert_int_equal(proc_read_memory(child->pid, at, &head, sizeof(head)), sizeof(head));
	assert_int_equal(proc_read_memory(child->pid, head, &at, sizeof(at)), sizeof(at));
}

static void test_each_python(void **state)
{
	struct py_process process;
	unsigned compared = 0;
	struct child child;

	(void)state;
	assert_true(pythons.count > 0);
	for (size_t i = 0; i < pythons.count; i++) {
		bool is_shared = strcmp(pythons.list[i].path, pythons.list[i].library) != 0;

		start(pythons.list[i].path, &child);
		check(&child, &process);
		assert_int_equal(process.kind, is_shared ? PY_BUILD_SHARED : PY_BUILD_STATIC);
		assert_false(process.free_threaded || process.debug_build || process.traces_refs);
		compared += child.address != 0;
		stop(&child);
		assert_int_equal(py_process_identify(cache, child.pid, &process), -ESRCH);
	}
	assert_true(compared > 0);
}

static void path_in_folder(char *path, const char *name)
{
	snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

/* A copy of an interpreter under another name, deleted while it runs. */
static void test_deleted(void **state)
{
	char path[PATH_MAX], command[3 * PATH_MAX];
	struct py_process process;
	struct child child;

	(void)state;
	if (geteuid() != 0) {
		print_message("SKIP: not root\n");
		skip();
	}
	path_in_folder(path, "renamed");
	for (size_t i = 0; i < pythons.count; i++) {
		if (strcmp(pythons.list[i].path, pythons.list[i].library) != 0)
			continue;
		snprintf(command, sizeof(command), "cp '%s' '%s'", pythons.list[i].path, path);
		assert_int_equal(system(command), 0);
		start(path, &child);
		assert_int_equal(unlink(path), 0);
		check(&child, &process);
		assert_int_equal(process.kind, PY_BUILD_STATIC);
		assert_non_null(strstr(process.image_path, "(deleted)"));
		stop(&child);
		return;
	}
	print_message("SKIP: no static interpreter\n");
	skip();
}

static void test_symlink(void **state)
{
	struct py_process process;
	char path[PATH_MAX];
	struct child child;

	(void)state;
	path_in_folder(path, "venv-python");
	assert_int_equal(symlink(pythons.list[pythons.count - 1].path, path), 0);
	start(path, &child);
	check(&child, &process);
	stop(&child);
	unlink(path);
}

static const char embed_source[] = "#include <Python.h>\n"
				   "void missing_function(void)\n"
				   "{\n"
				   "	abort();\n"
				   "}\n"
				   "int main(int argc, char **argv)\n"
				   "{\n"
				   "	(void)argc;\n"
				   "	Py_Initialize();\n"
				   "	return PyRun_SimpleString(argv[2]);\n"
				   "}\n";

/* $c: python3-config. $libs: what modules in the static library need. */
static const char build_setup[] =
	"export LC_ALL=C; c=/usr/bin/python3-config; libs=$(/usr/bin/python3 -c 'import sysconfig\n"
	"for name in (\"MODLIBS\", \"LIBS\", \"SYSLIBS\"):\n"
	"    words = (sysconfig.get_config_var(name) or \"\").split()\n"
	"    print(*[word for word in words if word.startswith(\"-l\")])')\n";

/* Debian 13's static library lacks objects that it needs itself (python_hashlib_Hacl_…). No test
 * calls them: functions that abort replace them. What is missing is printed. */
static const char build_again[] =
	"set -- $(sed -n \"s/.*undefined reference to .\\([A-Za-z0-9_]*\\)'.*/\\1/p\" $log | "
	"sort -u)\n"
	"[ $# != 0 ] && build $(printf -- '-Wl,--defsym=%s=missing_function ' \"$@\") ||\n"
	"	{ cat $log; exit 1; }\n"
	"echo \"# note: the distribution's static libpython lacks $# functions, $1 first\"\n";

/* Builds a program with `flags`. False: that is impossible here. */
static bool build_program(char *path, const char *name, const char *text, const char *flags)
{
	char source[PATH_MAX], command[8 * PATH_MAX];
	FILE *out;

	path_in_folder(path, name);
	path_in_folder(source, "embed.c");
	out = fopen(source, "w");
	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
	snprintf(command, sizeof(command),
		 "%slog='%s/cc.log'\n"
		 "build() { cc -o '%s' '%s' $($c --includes) %s \"$@\" 2>$log; }\n"
		 "build && exit\n%s",
		 build_setup, folder, path, source, flags, build_again);
	return system(command) == 0;
}

static void test_embedded(void **state)
{
	static const struct {
		const char *name, *flags;
		enum py_build_kind kind;
	} builds[] = {
		{"embed-shared", "$($c --embed --ldflags)", PY_BUILD_SHARED},
		/* Exports nothing and is stripped: only the name of the section is left. */
		{"embed-static", "-s -pie $($c --configdir)/libpython3*-pic.a $libs",
		 PY_BUILD_STATIC},
		{"embed-static-symtab", "-no-pie $($c --configdir)/libpython3*[0-9].a $libs",
		 PY_BUILD_STATIC},
	};
	struct py_process process;
	char path[PATH_MAX];
	struct child child;

	(void)state;
	if (access("/usr/bin/python3-config", X_OK) != 0) {
		print_message("SKIP: no python3-config\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(builds) / sizeof(builds[0]); i++) {
		assert_true(build_program(path, builds[i].name, embed_source, builds[i].flags));
		start(path, &child);
		check(&child, &process);
		assert_int_equal(process.kind, builds[i].kind);
		stop(&child);
	}
}

/* The file of an interpreter whose objects begin with two more pointers. There is no package of
 * one. */
static const char traced_source[] =
	"#include <stdio.h>\n"
	"#include <unistd.h>\n"
	"char _PyRuntime[512];\n"
	"const char tag[] = \"cpython-37\", version[] = \"3.7.16\";\n"
	"void PyModule_Create2TraceRefs(void) {}\n"
	"int main(void)\n"
	"{\n"
	"	printf(\"%d %s %ld\\n\", getpid(), version, (long)_PyRuntime);\n"
	"	fflush(stdout);\n"
	"	return pause();\n"
	"}\n";

static void test_trace_refs(void **state)
{
	struct py_process process;
	char path[PATH_MAX];
	struct child child;

	(void)state;
	assert_true(build_program(path, "traced", traced_source, "-rdynamic"));
	start(path, &child);
	assert_int_equal(py_process_identify(cache, child.pid, &process), -ENOTSUP);
	assert_true(process.traces_refs);
	assert_string_equal(process.version, "3.7.16");
	stop(&child);
	/* The same without that symbol is taken for what its version says. */
	assert_true(build_program(path, "untraced", traced_source,
				  "-rdynamic -DPyModule_Create2TraceRefs=PyModule_Create2"));
	start(path, &child);
	assert_int_equal(py_process_identify(cache, child.pid, &process), 0);
	assert_false(process.traces_refs);
	stop(&child);
}

/* The text of each refusal, for files that look like builds which are not at hand. */
static const char refused_source[] =
	"#include <stdint.h>\n"
	"#include <stdio.h>\n"
	"#include <unistd.h>\n"
	"struct { char cookie[8]; uint64_t version, threads, rest[200]; } _PyRuntime = {\n"
	"	COOKIE, HEX, 0, {[0 ... 199] = 0x7fffffff}};\n"
	"const char *const texts[] = {TAG, VERSION};\n"
	"int main(void)\n"
	"{\n"
	"	printf(\"%d %s %ld\\n\", getpid(), \"3\", (long)&_PyRuntime);\n"
	"	fflush(stdout);\n"
	"	return texts[0] ? pause() : 0;\n"
	"}\n";

static void test_refusals(void **state)
{
	static const struct {
		const char *flags;
		int err;
		const char *said;
	} cases[] = {
		{"-DCOOKIE='\"xdebugpy\"' -DHEX=0x030e00b2 -DTAG='\"cpython-314\"' "
		 "-DVERSION='\"3.14.0b2\"'",
		 -ENOTSUP, "Python 3.14.0b2 is not supported: it is an alpha or beta"},
		{"-DCOOKIE='\"xdebugpy\"' -DHEX=0x030e00f0 -DTAG='\"cpython-314\"' "
		 "-DVERSION='\"3.14.0\"'",
		 -EINVAL, "Python 3.14.0 is not supported: the offsets"},
		{"-DCOOKIE='\"\"' -DHEX=0 -DTAG='\"cpython-313\"' -DVERSION='\"3.13.1\"'", -EINVAL,
		 "Python 3.13.1 is not supported: the offsets"},
		{"-DCOOKIE='\"xdebugpy\"' -DHEX=0x036300f0 -DTAG='\"cpython-399\"' "
		 "-DVERSION='\"3.99.0\"'",
		 -ENOTSUP, "Python 3.99.0 is not supported (3.6 to 3.15 are)"},
		{"-DCOOKIE='\"\"' -DHEX=0 -DTAG='\"\"' -DVERSION='\"\"'", -ENOTSUP,
		 "a Python of unknown version is not supported"},
	};
	char path[PATH_MAX], flags[512], name[32], said[192];
	struct py_process process;
	struct child child;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "refused-%zu", i);
		snprintf(flags, sizeof(flags), "-rdynamic %s", cases[i].flags);
		assert_true(build_program(path, name, refused_source, flags));
		start(path, &child);
		assert_int_equal(py_process_identify(cache, child.pid, &process), cases[i].err);
		py_process_explain(&process, said, sizeof(said));
		stop(&child);
		if (strncmp(said, cases[i].said, strlen(cases[i].said)) != 0)
			fail_msg("said: %s", said);
	}
}

static void test_not_python(void **state)
{
	struct py_process process;

	(void)state;
	assert_int_equal(py_process_identify(cache, getpid(), &process), -ENOENT);
	assert_int_equal(py_process_identify(cache, 0, &process), -ESRCH);
	if (geteuid() == 0) /* a kernel thread */
		assert_int_equal(py_process_identify(cache, 2, &process), -ESRCH);
}

/* Runs `ps` with these arguments in a child. Its output goes to `buf`; returns its exit status. */
static int run_ps(char *const *argv, char *buf, size_t size)
{
	size_t len = 0;
	int out[2], status, argc = 0;
	ssize_t n;
	pid_t pid;

	while (argv[argc])
		argc++;
	assert_int_equal(pipe(out), 0);
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		close(out[0]);
		_exit(command_run(&command_ps, argc, (char **)argv));
	}
	close(out[1]);
	while (len < size - 1 && (n = read(out[0], buf + len, size - 1 - len)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static const json_t *find_pid(const json_t *top, pid_t pid)
{
	const json_t *list = json_object_get(top, "processes");

	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *process = json_array_get(list, i);

		if (json_integer_value(json_object_get(process, "pid")) == pid)
			return process;
	}
	return NULL;
}

static void test_ps(void **state)
{
	char *const json_args[] = {"ps", "--format", "json", NULL};
	char *const table_args[] = {"ps", "-v", NULL};
	static char text[1024 * 1024];
	const json_t *process;
	struct child child;
	char expected[64];
	json_t *top;

	(void)state;
	start(pythons.list[0].path, &child);
	assert_int_equal(run_ps(json_args, text, sizeof(text)), 0);
	top = json_loads(text, 0, NULL);
	assert_non_null(top);
	assert_string_equal(json_string_value(json_object_get(top, "schema")), "pymem-bpf-ps/1");
	process = find_pid(top, child.pid);
	assert_non_null(process);
	assert_string_equal(json_string_value(json_object_get(process, "python")), child.version);
	assert_int_equal(json_is_true(json_object_get(process, "supported")),
			 child.version[0] != '2');
	assert_true(json_integer_value(json_object_get(process, "rss_bytes")) > 1000000);
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(process, "cmdline"), 2)), script);
	assert_null(find_pid(top, getpid()));
	json_decref(top);

	assert_int_equal(run_ps(table_args, text, sizeof(text)), 0);
	snprintf(expected, sizeof(expected), "\n%7d  %-9s  ", (int)child.pid, child.version);
	assert_non_null(strstr(text, expected));
	assert_null(strstr(text, "import os, sys, time\n")); /* newlines are escaped */
	if (child.version[0] == '2') {
		snprintf(expected, sizeof(expected), "Python %s is not supported", child.version);
		assert_non_null(strstr(text, expected));
	}
	stop(&child);
}

static void test_ps_usage(void **state)
{
	char *const bad[][4] = {
		{"ps", "--format", "xml", NULL}, {"ps", "--nonsense", NULL}, {"ps", "extra", NULL},
		{"ps", "--format", NULL},	 {"ps", "-z", NULL},
	};
	char *const help[] = {"ps", "--help", NULL};
	char text[4096];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(run_ps(bad[i], text, sizeof(text)), 2);
		assert_string_equal(text, "");
	}
	assert_int_equal(run_ps(help, text, sizeof(text)), 0);
	assert_non_null(strstr(text, "Usage:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_python), cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_symlink),	    cmocka_unit_test(test_embedded),
		cmocka_unit_test(test_trace_refs),  cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_not_python),  cmocka_unit_test(test_ps),
		cmocka_unit_test(test_ps_usage),
	};
	char command[64];
	int failed;

	pythons_find(&pythons);
	cache = py_image_cache_new();
	if (!cache || !mkdtemp(folder))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	py_image_cache_free(cache);
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command) != 0 || failed;
}
