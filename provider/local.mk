# Requests to providers, and the catalog of providers.
noinst_LIBRARIES += libprovider.a
libprovider_a_SOURCES = \
	provider/catalog.c provider/catalog.h \
	provider/credential.c provider/credential.h \
	provider/expand.c provider/expand.h \
	provider/moment.c provider/moment.h \
	provider/prepare.c provider/prepare.h \
	provider/request.c provider/request.h \
	provider/retry.c provider/retry.h \
	provider/template.c provider/template.h \
	provider/url.c provider/url.h
libprovider_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)

catalogdir = $(pkgdatadir)/catalog
dist_catalog_DATA = \
	provider/catalog/airtable.json \
	provider/catalog/asana.json \
	provider/catalog/github.json \
	provider/catalog/gitlab.json \
	provider/catalog/gmail.json \
	provider/catalog/google-calendar.json \
	provider/catalog/google-drive.json \
	provider/catalog/google-mail.json \
	provider/catalog/hubspot.json \
	provider/catalog/intercom.json \
	provider/catalog/jira.json \
	provider/catalog/linear.json \
	provider/catalog/mailchimp.json \
	provider/catalog/notion.json \
	provider/catalog/private-api-basic.json \
	provider/catalog/private-api-bearer.json \
	provider/catalog/private-api-generic.json \
	provider/catalog/salesforce.json \
	provider/catalog/sendgrid.json \
	provider/catalog/shopify.json \
	provider/catalog/slack.json \
	provider/catalog/stripe-api-key.json \
	provider/catalog/stripe.json \
	provider/catalog/twilio.json \
	provider/catalog/unauthenticated.json \
	provider/catalog/zendesk.json

# Unit tests.  retry and request stand in for http/client themselves.
provider_tests = test_provider_catalog \
	test_provider_credential \
	test_provider_prepare \
	test_provider_retry \
	test_provider_request \
	test_provider_http
check_PROGRAMS += $(provider_tests)
TESTS += $(provider_tests)
provider_test_libs = libprovider.a $(http_test_libs) $(JANSSON_LIBS)
test_provider_catalog_SOURCES = tests/unit/test_provider_catalog.c
test_provider_catalog_LDADD = $(provider_test_libs)
test_provider_credential_SOURCES = tests/unit/test_provider_credential.c
test_provider_credential_LDADD = $(provider_test_libs)
test_provider_prepare_SOURCES = tests/unit/test_provider_prepare.c
test_provider_prepare_LDADD = $(provider_test_libs)
test_provider_retry_SOURCES = tests/unit/test_provider_retry.c
test_provider_retry_LDADD = libprovider.a $(base_test_libs) $(JANSSON_LIBS)
test_provider_request_SOURCES = tests/unit/test_provider_request.c
test_provider_request_LDADD = libprovider.a $(base_test_libs) $(JANSSON_LIBS)
test_provider_http_SOURCES = tests/unit/test_provider_http.c
test_provider_http_LDADD = $(provider_test_libs)
