# tests: what is not one program of one folder.
AM_TESTS_ENVIRONMENT = srcdir='$(srcdir)' SLUICE_TEST_RUNNER='$(abs_builddir)/sluice-runner'; \
	export srcdir SLUICE_TEST_RUNNER;
