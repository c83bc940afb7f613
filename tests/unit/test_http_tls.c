#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/client.h"
#include "http/guard.h"
#include "tests/lib/check.h"

/* Calls over TLS: a peer of ours, in a process of its own, that says whose certificate it was shown. */

enum { PATIENCE_MS = 10000 };

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
	char key_pem[2048], certificate_pem[4096];
};

static struct rig {
	struct loop *loop;
	struct guard *guard;
	struct http_client *client;
	struct identity server, one, other;
	int port;
	pid_t peer;
} rig;

static struct outcome {
	bool done;
	enum http_failure failure;
	int status;
	char code[64], text[300], body[200];
} outcome;

/* In place of OpenSSL's, in both processes: nobody has signed these certificates.  Their host is
 * still compared. */
int
X509_verify_cert(X509_STORE_CTX *context)
{
	X509 *certificate = X509_STORE_CTX_get0_cert(context);
	STACK_OF(X509) *chain = sk_X509_new_null();

	X509_up_ref(certificate);
	sk_X509_push(chain, certificate);
	X509_STORE_CTX_set0_verified_chain(context, chain);
	X509_STORE_CTX_set_error(context, X509_V_OK);
	return 1;
}

static void
to_pem(BIO *bio, char *out, size_t size)
{
	int n = BIO_read(bio, out, (int)size - 1);

	check(n > 0 && n < (int)size - 1);
	out[n] = '\0';
	BIO_free(bio);
}

static void
make_identity(struct identity *identity, const char *name)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
	X509 *made = identity->certificate = X509_new();
	X509_EXTENSION *hosts;
	BIO *bio;

	check(context != NULL && EVP_PKEY_keygen_init(context) == 1);
	check_int(EVP_PKEY_keygen(context, &identity->key), ==, 1);
	EVP_PKEY_CTX_free(context);
	check_int(X509_set_version(made, 2), ==, 1);
	ASN1_INTEGER_set(X509_get_serialNumber(made), 1);
	X509_gmtime_adj(X509_getm_notBefore(made), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made), 3600);
	X509_set_pubkey(made, identity->key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_ASC,
				   (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(made, X509_get_subject_name(made));
	hosts = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
	check(hosts != NULL && X509_add_ext(made, hosts, -1) == 1);
	X509_EXTENSION_free(hosts);
	check_int(X509_sign(made, identity->key, NULL), >, 0);
	bio = BIO_new(BIO_s_mem());
	check_int(PEM_write_bio_X509(bio, made), ==, 1);
	to_pem(bio, identity->certificate_pem, sizeof(identity->certificate_pem));
	bio = BIO_new(BIO_s_mem());
	check_int(PEM_write_bio_PrivateKey(bio, identity->key, NULL, NULL, 0, NULL, NULL), ==, 1);
	to_pem(bio, identity->key_pem, sizeof(identity->key_pem));
}

static void
free_identity(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

/* ---- the peer, in its own process -------------------------------------------------------------
 */

static int
accept_any(int ok, X509_STORE_CTX *context)
{
	(void)ok;
	(void)context;
	return 1;
}

/* "/to-other" leads to the same peer by another name. */
static void
peer_answer(SSL *ssl, const char *ask)
{
	X509 *shown = SSL_get_peer_certificate(ssl);
	char name[64] = "nobody", answer[512];
	bool moves = strstr(ask, "GET /to-other ") == ask;

	if (shown != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, name,
					  sizeof(name));
	X509_free(shown);
	if (moves)
		snprintf(answer, sizeof(answer),
			 "HTTP/1.1 302 Found\r\nLocation: https://localhost:%d/\r\n"
			 "Content-Length: 0\r\nConnection: close\r\n\r\n",
			 rig.port);
	else
		snprintf(answer, sizeof(answer), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
			 strlen(name), name);
	SSL_write(ssl, answer, (int)strlen(answer));
}

static void
peer_serve(SSL_CTX *context, int fd)
{
	SSL *ssl = SSL_new(context);
	char ask[8192];
	int n;

	SSL_set_fd(ssl, fd);
	if (SSL_accept(ssl) == 1) {
		while ((n = SSL_read(ssl, ask, sizeof(ask) - 1)) > 0) {
			ask[n] = '\0';
			peer_answer(ssl, ask);
		}
	}
	SSL_shutdown(ssl);
	SSL_free(ssl);
	close(fd);
}

/* Each connection in a process: a kept one must not hold up the next. */
static void
peer_run(int listener)
{
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	SSL_CTX_use_certificate(context, rig.server.certificate);
	SSL_CTX_use_PrivateKey(context, rig.server.key);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
	SSL_CTX_set_session_id_context(context, (const unsigned char *)"test", 4);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(30);
			peer_serve(context, fd);
			_exit(0);
		}
		close(fd);
	}
}

static void
rig_start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	struct sl_error error;
	int listener;

	rig = (struct rig){.peer = 0};
	make_identity(&rig.server, "the peer");
	make_identity(&rig.one, "one");
	make_identity(&rig.other, "other");
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check_int(bind(listener, (struct sockaddr *)&at, sizeof(at)), ==, 0);
	check_int(listen(listener, 20), ==, 0);
	getsockname(listener, (struct sockaddr *)&at, &len);
	rig.port = ntohs(at.sin_port);
	fflush(stdout);
	rig.peer = fork();
	check_int(rig.peer, >=, 0);
	if (rig.peer == 0)
		peer_run(listener);
	close(listener);
	rig.loop = loop_new();
	check_int(guard_new("127.0.0.0/8,::1/128", &rig.guard, &error), ==, SL_OK);
	check_int(http_client_new(rig.loop, rig.guard, &rig.client, &error), ==, SL_OK);
}

static void
rig_stop(void)
{
	http_client_free(rig.client);
	guard_free(rig.guard);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	kill(rig.peer, SIGKILL);
	waitpid(rig.peer, NULL, 0);
	free_identity(&rig.server);
	free_identity(&rig.one);
	free_identity(&rig.other);
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	(void)arg;
	outcome.done = true;
	outcome.failure = answer->failure;
	outcome.status = answer->status;
	snprintf(outcome.code, sizeof(outcome.code), "%s",
		 answer->code != NULL ? answer->code : "");
	snprintf(outcome.text, sizeof(outcome.text), "%s",
		 answer->text != NULL ? answer->text : "");
	snprintf(outcome.body, sizeof(outcome.body), "%.*s", (int)answer->body.len,
		 answer->body.data);
}

/* as: NULL for nobody. */
static void
get(const char *path, const struct identity *as)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	char url[128];
	struct http_ask ask = {.method = "GET",
			       .url = url,
			       .timeout_ms = PATIENCE_MS,
			       .response_max = 1000,
			       .redirects_max = 2,
			       .forward_credentials = true};

	snprintf(url, sizeof(url), "https://127.0.0.1:%d%s", rig.port, path);
	if (as != NULL) {
		ask.client_certificate = slice_text(as->certificate_pem);
		ask.client_key = slice_text(as->key_pem);
	}
	outcome = (struct outcome){0};
	http_client_send(rig.client, &ask, on_answer, NULL);
	while (!outcome.done && clock_mono_ms() < end)
		loop_turn(rig.loop, 10);
	check(outcome.done);
}

static void
a_call_shows_the_certificate_it_was_given_and_no_kept_connection_lends_one(void)
{
	static const char *const names[] = {"nobody", "one", "other", "one", "nobody"};

	rig_start();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct identity *as = strcmp(names[i], "one") == 0     ? &rig.one
					    : strcmp(names[i], "other") == 0 ? &rig.other
									     : NULL;

		get("/", as);
		check_text(outcome.text, "");
		check_text(outcome.body, names[i]);
	}
	rig_stop();
}

static void
another_origin_is_not_shown_the_certificate(void)
{
	rig_start();
	get("/to-other", &rig.one);
	check_text(outcome.text, "");
	check_int(outcome.status, ==, 200);
	check_text(outcome.body, "nobody");
	rig_stop();
}

static void
a_certificate_that_is_none_is_a_failure_of_tls(void)
{
	struct identity bad;

	rig_start();
	bad = rig.one;
	snprintf(bad.certificate_pem, sizeof(bad.certificate_pem), "not PEM at all");
	get("/", &bad);
	check_int(outcome.failure, ==, HTTP_TLS);
	check(outcome.text[0] != '\0');
	bad = rig.one;
	memcpy(bad.key_pem, rig.other.key_pem, sizeof(bad.key_pem)); /* of another certificate */
	get("/", &bad);
	check_int(outcome.failure, ==, HTTP_TLS);
	rig_stop();
}

int
main(void)
{
	CHECK_RUN(a_call_shows_the_certificate_it_was_given_and_no_kept_connection_lends_one);
	CHECK_RUN(another_origin_is_not_shown_the_certificate);
	CHECK_RUN(a_certificate_that_is_none_is_a_failure_of_tls);
	return check_done();
}
