# cli: sluice, the operator's command; it knows the service by its API only.
bin_PROGRAMS += sluice
sluice_SOURCES = \
	cli/main.c cli/cli.h \
	cli/arguments.c cli/arguments.h \
	cli/ask.c cli/ask.h \
	cli/bench_run.c cli/bench.h \
	cli/client.c cli/client.h \
	cli/commands.c cli/command.h \
	cli/print.c cli/print.h \
	cli/table.c cli/table.h \
	cli/target.c cli/target.h \
	cli/trouble.c cli/trouble.h \
	cli/verdict.c cli/verdict.h \
	cli/cmd_bench.c cli/cmd_completion.c cli/cmd_dead.c cli/cmd_doctor.c cli/cmd_env.c cli/cmd_gate.c cli/cmd_help.c \
	cli/cmd_job.c cli/cmd_queue.c cli/cmd_rekey.c cli/cmd_sync.c cli/cmd_webhook.c cli/cmd_worker.c
sluice_LDADD = libhttp.a libbase.a $(CURL_LIBS) $(LIBEVENT_LIBS) $(MSGPACK_LIBS) $(OPENSSL_LIBS)

# Completion is printed by the program that was built, so that it knows what that one knows.
bashcompletiondir = $(datadir)/bash-completion/completions
nodist_bashcompletion_DATA = cli/completion/sluice
zshcompletiondir = $(datadir)/zsh/site-functions
nodist_zshcompletion_DATA = cli/completion/_sluice
CLEANFILES += cli/completion/sluice cli/completion/_sluice
cli/completion/sluice: sluice$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) cli/completion && ./sluice$(EXEEXT) completion bash > $@.part && mv $@.part $@
cli/completion/_sluice: sluice$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) cli/completion && ./sluice$(EXEEXT) completion zsh > $@.part && mv $@.part $@

# Unit tests.
cli_tests = test_cli_arguments test_cli_table
check_PROGRAMS += $(cli_tests)
TESTS += $(cli_tests)
test_cli_arguments_SOURCES = tests/unit/test_cli_arguments.c cli/arguments.c cli/commands.c
test_cli_arguments_LDADD = $(base_test_libs)
test_cli_table_SOURCES = tests/unit/test_cli_table.c cli/table.c cli/print.c
test_cli_table_LDADD = $(base_test_libs)
