# Pointsman. `make` builds build/pointsman; `make help` lists the rest.
#
#   BUILD=release|asan|ubsan|tsan   the variant, each in a folder of its own (default: release)
#   WERROR=1                        warnings are errors (CI)
#   V=1                             commands are shown

BUILD	?= release
CC	?= cc
PREFIX	?= /usr/local
DESTDIR	?=
SUITE	?=

# libpg_query has no pkg-config file; see also build/.packages below.
PACKAGES = libevent libevent_pthreads libconfig jansson libxxhash openssl libidn libpq

SANITIZE_release =
SANITIZE_asan	 = -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_ubsan	 = -fsanitize=undefined -fno-sanitize-recover=all
SANITIZE_tsan	 = -fsanitize=thread
OPTIMIZE_release = -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPTIMIZE_asan	 = -O1 -fno-omit-frame-pointer
OPTIMIZE_ubsan	 = -O1
OPTIMIZE_tsan	 = -O1 -fno-omit-frame-pointer
PROGRAM_release	 = build/pointsman
PROGRAM_asan	 = build/asan/pointsman
PROGRAM_ubsan	 = build/ubsan/pointsman
PROGRAM_tsan	 = build/tsan/pointsman

PROGRAM := $(PROGRAM_$(BUILD))
ifeq ($(PROGRAM),)
$(error BUILD=$(BUILD) is none of release, asan, ubsan, tsan)
endif

WARNINGS = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith \
	   -Wwrite-strings -Wformat=2 -Wno-format-truncation
ifeq ($(WERROR),1)
WARNINGS += -Werror
endif

CFLAGS	?= -g
LANGUAGE = -std=gnu11 -D_GNU_SOURCE
INCLUDES = -Iinclude
# Asked once, and only when something is compiled: `make deps` must work without them.
PACKAGE_CFLAGS = $(eval PACKAGE_CFLAGS := $$(shell pkg-config --cflags $(PACKAGES)))$(PACKAGE_CFLAGS)
PACKAGE_LIBS   = $(eval PACKAGE_LIBS := $$(shell pkg-config --libs $(PACKAGES)))$(PACKAGE_LIBS)
COMPILE = $(CC) $(LANGUAGE) $(OPTIMIZE_$(BUILD)) $(CFLAGS) $(WARNINGS) $(SANITIZE_$(BUILD)) \
	  -fPIE -MMD -MP $(INCLUDES) $(CPPFLAGS) $(PACKAGE_CFLAGS)
# -rdynamic: the backtrace of a crash names functions.
LINK	= $(CC) $(CFLAGS) $(SANITIZE_$(BUILD)) -pie -rdynamic -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS	= $(PACKAGE_LIBS) -lpg_query -lpthread -lm $(LDLIBS)
TEST_LIBS = $(shell pkg-config --libs check)

# What unit_fail_alloc() in tests/unit/unit.c can make fail. Renamed in our own objects, not wrapped
# by the linker, which would make the allocations of a static libcheck fail too.
RENAME_ALLOCATORS = $(foreach name,malloc calloc realloc strdup strndup, \
		    --redefine-sym $(name)=unit_$(name))

OUT	 := build/$(BUILD)
objects	  = $(patsubst %.c,$(OUT)/obj/%.o,$(1))
MAIN	 := src/daemon/main.c
SOURCES	 := $(sort $(wildcard src/*/*.c))
OBJECTS	 := $(call objects,$(filter-out $(MAIN),$(SOURCES)))
SUPPORT	 := $(sort $(wildcard tests/support/*.c))
CERTS	 := tests/support/certs.c
UNIT	 := tests/unit/unit.c $(sort $(wildcard tests/unit/*/*.c)) $(CERTS)
SCENARIO := $(sort $(wildcard tests/scenario/*.c)) $(CERTS)
INTEGRATION := $(sort $(wildcard tests/pg/*.c))
DRIVERS	 := tests/drivers/run.c
REGRESS	 := $(sort $(wildcard tests/regress/*.c))
PROPERTY := $(sort $(wildcard tests/property/*.c))

# A suite without sources has no program and nothing to run.
TEST_PROGRAMS := $(OUT)/unit $(if $(SCENARIO),$(OUT)/scenario)
RUN_UNIT      := $(OUT)/unit
RUN_SCENARIO  := $(if $(SCENARIO),$(OUT)/scenario)
RUN_INTEGRATION := $(if $(INTEGRATION),$(OUT)/integration $(PROGRAM))
RUN_DRIVERS   := $(OUT)/drivers $(PROGRAM)
RUN_REGRESS   := $(OUT)/regress $(PROGRAM)
RUN_PROPERTY  := $(OUT)/property $(PROGRAM)
NOTHING	      := echo '0 passed, 0 failed, 0 skipped'

# Check's limits of time are there to end what hangs; a busy machine or a sanitizer is only slow.
export ASAN_OPTIONS	?= detect_leaks=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS	?= print_stacktrace=1
export TSAN_OPTIONS	?= halt_on_error=1
export CK_TIMEOUT_MULTIPLIER ?= 20

# All cores, unless make was told how many to use.
RECURSE	= @$(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUM	= tests/support/sum_results.sh

# $(call run,WORD,COMMAND): says "WORD target" and runs it quietly, or shows it under V=1.
run	= $(if $(V),,@printf '  %-8s%s\n' $(1) $@; )$(2)

.PHONY: all help deps demo check check-built unit scenario integration drivers regress property soak tests \
	asan ubsan tsan sanitized lint format install clean
.DELETE_ON_ERROR:

all: $(PROGRAM)

help:
	@echo 'make [BUILD=release|asan|ubsan|tsan] [WERROR=1]   $(PROGRAM)'
	@echo 'make deps               installs what building and testing need'
	@echo 'make demo [ONCE=1]      a primary, two replicas and the proxy in front of them'
	@echo 'make check              everything from a fresh clone, and all tests'
	@echo 'make unit [SUITE=name]  make scenario  make integration   one kind of tests'
	@echo 'make drivers [SUITE=name]  programs of real drivers, direct and through the proxy'
	@echo "make regress            PostgreSQL's own regression SQL, direct and through the proxy"
	@echo 'make soak [SOAK_SECONDS= SOAK_SEED=]  random clients, each compared with a direct one'
	@echo 'make asan|ubsan|tsan    unit and scenario tests under a sanitizer'
	@echo 'make lint  make format  make install [PREFIX= DESTDIR=]  make clean'

# --- building

$(PROGRAM): $(OBJECTS) $(call objects,$(MAIN))
	$(call run,LINK,$(LINK) -o $@ $^ $(LIBS))

$(OUT)/under-test.o: $(OBJECTS)
	$(call run,JOIN,$(CC) -r -nostdlib -o $@ $^ && objcopy $(RENAME_ALLOCATORS) $@)

$(OUT)/unit: $(OUT)/under-test.o $(call objects,$(UNIT))
	$(call run,LINK,$(LINK) -o $@ $^ $(TEST_LIBS) $(LIBS))

$(OUT)/scenario: $(OUT)/under-test.o $(call objects,$(SCENARIO))
	$(call run,LINK,$(LINK) -o $@ $^ $(TEST_LIBS) $(LIBS))

$(OUT)/integration: $(call objects,$(INTEGRATION) $(SUPPORT))
	$(call run,LINK,$(LINK) -o $@ $^ $(TEST_LIBS) $(LIBS))

$(OUT)/drivers: $(call objects,$(DRIVERS) $(SUPPORT))
	$(call run,LINK,$(LINK) -o $@ $^ $(TEST_LIBS) $(LIBS))

$(OUT)/regress: $(call objects,$(REGRESS) $(SUPPORT))
	$(call run,LINK,$(LINK) -o $@ $^ $(LIBS))

$(OUT)/property: $(call objects,$(PROPERTY) $(SUPPORT))
	$(call run,LINK,$(LINK) -o $@ $^ $(LIBS))

$(OUT)/obj/tests/%.o: INCLUDES += -Itests/unit -Itests/support

$(OUT)/obj/%.o: %.c Makefile | build/.packages
	@mkdir -p $(@D)
	$(call run,CC,$(COMPILE) -c -o $@ $<)

build/.packages:
	@mkdir -p $(@D)
	@{ pkg-config --print-errors --exists $(PACKAGES) check && \
	   echo '#include <pg_query.h>' | $(CC) $(CPPFLAGS) -E -x c -o /dev/null - ; } || \
	 { echo 'Something that the build needs is missing (above): run "make deps".' >&2; exit 1; }
	@touch $@

-include $(patsubst %.o,%.d,$(call objects,$(SOURCES) $(UNIT) $(SCENARIO) $(INTEGRATION) \
	$(DRIVERS) $(REGRESS) $(PROPERTY) \
	$(SUPPORT)))

# --- tests

unit: $(OUT)/unit
	@$(RUN_UNIT) $(SUITE)

scenario: $(RUN_SCENARIO)
	@$(or $(RUN_SCENARIO),$(NOTHING))

integration: $(if $(INTEGRATION),$(OUT)/integration $(PROGRAM))
	@$(or $(RUN_INTEGRATION),$(NOTHING))

drivers: $(OUT)/drivers $(PROGRAM)
	@CC='$(CC)' $(RUN_DRIVERS) $(SUITE)

# PostgreSQL's own regression SQL; `make check` runs the greater part of it.
regress: $(OUT)/regress $(PROGRAM)
	@CC='$(CC)' $(RUN_REGRESS) --all

# Random clients against a reference, which `make check` does for 25 seconds with one seed.
SOAK_SECONDS ?= 3600
SOAK_SEED    ?= $(shell date +%s)
property: $(OUT)/property $(PROGRAM)
	@$(RUN_PROPERTY)

soak: $(OUT)/property $(PROGRAM)
	@$(RUN_PROPERTY) --seed $(SOAK_SEED)000 --seconds $(SOAK_SECONDS)

tests: $(TEST_PROGRAMS) $(if $(INTEGRATION),$(OUT)/integration) $(OUT)/drivers $(OUT)/regress \
	$(OUT)/property

# In steps of their own, as the first installs what the second asks pkg-config for.
check:
	$(RECURSE) deps
	$(RECURSE) all tests
	$(RECURSE) check-built

# With WERROR=1 all of lint, else only what does not depend on the compiler's version.
check-built:
	@CC='$(CC)' tests/support/lint.sh $(if $(filter 1,$(WERROR)),,text)
	@CC='$(CC)' $(SUM) '$(RUN_UNIT)' '$(RUN_SCENARIO)' '$(RUN_INTEGRATION)' '$(RUN_DRIVERS)' \
		'$(RUN_REGRESS)'

asan ubsan tsan:
	$(RECURSE) BUILD=$@ sanitized

sanitized: $(TEST_PROGRAMS) $(if $(wildcard $(MAIN)),$(PROGRAM))
	@$(SUM) '$(RUN_UNIT)' '$(RUN_SCENARIO)'

# --- the rest

deps:
	tests/support/deps.sh

demo:
	$(RECURSE) deps
	$(RECURSE) all
	@ONCE='$(ONCE)' tests/support/demo.sh

lint:
	@CC='$(CC)' tests/support/lint.sh

format:
	find src include tests -name '*.[ch]' -exec clang-format -i {} +

install: $(PROGRAM)
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/pointsman
	install -D -m 644 proxy.conf.example $(DESTDIR)$(PREFIX)/share/pointsman/proxy.conf.example

clean:
	rm -rf build
