# Requests to providers, and the catalog of providers.
noinst_LIBRARIES += libprovider.a
libprovider_a_SOURCES = \
	provider/asked.c provider/asked.h \
	provider/catalog.c provider/catalog.h \
	provider/credential.c provider/credential.h \
	provider/definition.c provider/definition.h \
	provider/expand.c provider/expand.h \
	provider/held.c provider/held.h \
	provider/limit.c provider/limit.h \
	provider/member.c provider/member.h \
	provider/moment.c provider/moment.h \
	provider/prepare.c provider/prepare.h \
	provider/request.c provider/request.h \
	provider/retry.c provider/retry.h \
	provider/template.c provider/template.h \
	provider/token.c provider/token.h provider/token_answer.c \
	provider/url.c provider/url.h
libprovider_a_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS)

catalogdir = $(pkgdatadir)/catalog
dist_catalog_DATA = \
	provider/catalog/1password-scim.json \
	provider/catalog/active-campaign.json \
	provider/catalog/aircall.json \
	provider/catalog/airtable-pat.json \
	provider/catalog/airtable.json \
	provider/catalog/amplitude.json \
	provider/catalog/anthropic.json \
	provider/catalog/apollo.json \
	provider/catalog/asana.json \
	provider/catalog/ashby.json \
	provider/catalog/attio.json \
	provider/catalog/auth0-oauth2-cc.json \
	provider/catalog/avoma.json \
	provider/catalog/bamboohr-basic.json \
	provider/catalog/beehiiv.json \
	provider/catalog/bitbucket.json \
	provider/catalog/box.json \
	provider/catalog/brevo-api-key.json \
	provider/catalog/brex.json \
	provider/catalog/calendly.json \
	provider/catalog/chargebee.json \
	provider/catalog/clickup.json \
	provider/catalog/close.json \
	provider/catalog/cloudflare.json \
	provider/catalog/coda.json \
	provider/catalog/confluence-basic.json \
	provider/catalog/confluence.json \
	provider/catalog/contentful.json \
	provider/catalog/digitalocean.json \
	provider/catalog/discord.json \
	provider/catalog/dropbox.json \
	provider/catalog/elevenlabs.json \
	provider/catalog/eventbrite.json \
	provider/catalog/exa.json \
	provider/catalog/facebook.json \
	provider/catalog/fathom.json \
	provider/catalog/fedex.json \
	provider/catalog/figma.json \
	provider/catalog/fireflies.json \
	provider/catalog/fitbit.json \
	provider/catalog/freshdesk.json \
	provider/catalog/freshservice.json \
	provider/catalog/front.json \
	provider/catalog/github-pat.json \
	provider/catalog/github.json \
	provider/catalog/gitlab-pat.json \
	provider/catalog/gitlab.json \
	provider/catalog/gmail.json \
	provider/catalog/gong.json \
	provider/catalog/google-ads.json \
	provider/catalog/google-analytics.json \
	provider/catalog/google-calendar.json \
	provider/catalog/google-chat.json \
	provider/catalog/google-contacts.json \
	provider/catalog/google-docs.json \
	provider/catalog/google-drive.json \
	provider/catalog/google-forms.json \
	provider/catalog/google-mail.json \
	provider/catalog/google-meet.json \
	provider/catalog/google-search-console.json \
	provider/catalog/google-sheet.json \
	provider/catalog/google-slides.json \
	provider/catalog/google-tasks.json \
	provider/catalog/google.json \
	provider/catalog/gorgias-basic.json \
	provider/catalog/greenhouse-basic.json \
	provider/catalog/gusto.json \
	provider/catalog/harvest.json \
	provider/catalog/hibob-service-user.json \
	provider/catalog/hubspot.json \
	provider/catalog/instagram.json \
	provider/catalog/instantly.json \
	provider/catalog/intercom.json \
	provider/catalog/jira-basic.json \
	provider/catalog/jira.json \
	provider/catalog/jotform.json \
	provider/catalog/jumpcloud.json \
	provider/catalog/klaviyo.json \
	provider/catalog/kustomer.json \
	provider/catalog/lever-basic.json \
	provider/catalog/linear.json \
	provider/catalog/linkedin.json \
	provider/catalog/loops-so.json \
	provider/catalog/mailchimp.json \
	provider/catalog/mailgun.json \
	provider/catalog/metabase.json \
	provider/catalog/microsoft-excel.json \
	provider/catalog/microsoft-oauth2-cc.json \
	provider/catalog/microsoft-teams.json \
	provider/catalog/microsoft.json \
	provider/catalog/miro.json \
	provider/catalog/mixpanel.json \
	provider/catalog/monday.json \
	provider/catalog/neon.json \
	provider/catalog/notion.json \
	provider/catalog/okta-api-key.json \
	provider/catalog/one-drive.json \
	provider/catalog/openai.json \
	provider/catalog/outlook.json \
	provider/catalog/outreach.json \
	provider/catalog/paddle.json \
	provider/catalog/pagerduty.json \
	provider/catalog/paypal-sandbox.json \
	provider/catalog/paypal.json \
	provider/catalog/perplexity.json \
	provider/catalog/pipedrive.json \
	provider/catalog/posthog.json \
	provider/catalog/private-api-basic.json \
	provider/catalog/private-api-bearer.json \
	provider/catalog/private-api-generic.json \
	provider/catalog/private-api-oauth2-cc.json \
	provider/catalog/private-api-oauth2.json \
	provider/catalog/quickbooks-sandbox.json \
	provider/catalog/quickbooks.json \
	provider/catalog/ramp-oauth2-cc.json \
	provider/catalog/ramp.json \
	provider/catalog/recruitee.json \
	provider/catalog/reddit.json \
	provider/catalog/replicate.json \
	provider/catalog/resend.json \
	provider/catalog/ring-central.json \
	provider/catalog/salesforce-oauth2-cc.json \
	provider/catalog/salesforce.json \
	provider/catalog/salesloft.json \
	provider/catalog/sendgrid.json \
	provider/catalog/sentry.json \
	provider/catalog/sharepoint-online.json \
	provider/catalog/shippo.json \
	provider/catalog/shipstation.json \
	provider/catalog/shopify.json \
	provider/catalog/shortcut.json \
	provider/catalog/slack.json \
	provider/catalog/smartsheet.json \
	provider/catalog/snowflake.json \
	provider/catalog/spotify-oauth2-cc.json \
	provider/catalog/spotify.json \
	provider/catalog/squareup.json \
	provider/catalog/strava.json \
	provider/catalog/stripe-api-key.json \
	provider/catalog/stripe.json \
	provider/catalog/tally.json \
	provider/catalog/teamtailor.json \
	provider/catalog/todoist.json \
	provider/catalog/twilio.json \
	provider/catalog/twitch-oauth2-cc.json \
	provider/catalog/twitter-v2.json \
	provider/catalog/typeform.json \
	provider/catalog/unauthenticated.json \
	provider/catalog/ups.json \
	provider/catalog/vercel.json \
	provider/catalog/webflow.json \
	provider/catalog/woocommerce.json \
	provider/catalog/wordpress.json \
	provider/catalog/workable.json \
	provider/catalog/wrike.json \
	provider/catalog/xero.json \
	provider/catalog/youtube.json \
	provider/catalog/zendesk.json \
	provider/catalog/zoho-crm.json \
	provider/catalog/zoom-oauth2-cc.json \
	provider/catalog/zoom.json

# Unit tests.  retry and request stand in for http/client themselves.
provider_tests = test_provider_catalog \
	test_provider_credential \
	test_provider_prepare \
	test_provider_retry \
	test_provider_limit \
	test_provider_token \
	test_provider_request \
	test_provider_stream \
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
test_provider_limit_SOURCES = tests/unit/test_provider_limit.c
test_provider_limit_LDADD = libprovider.a $(base_test_libs) $(JANSSON_LIBS)
test_provider_token_SOURCES = tests/unit/test_provider_token.c
test_provider_token_LDADD = $(provider_test_libs)
test_provider_request_SOURCES = tests/unit/test_provider_request.c
test_provider_request_LDADD = libprovider.a $(base_test_libs) $(JANSSON_LIBS)
test_provider_stream_SOURCES = tests/unit/test_provider_stream.c
test_provider_stream_LDADD = libprovider.a $(base_test_libs) $(JANSSON_LIBS)
test_provider_http_SOURCES = tests/unit/test_provider_http.c
test_provider_http_LDADD = $(provider_test_libs)
