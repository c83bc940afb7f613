/* tests/unit/test_daemon_shown.c - daemon/egress/shown: what of a URL may stand in a log. */
#include "daemon/egress/shown.h"

#include <string.h>

#include "tests/lib/check.h"

static void
only_names_are_left_of_what_may_be_secret(void)
{
	static const struct {
		const char *url, *shown;
	} cases[] = {
	    {"https://api.example.com/a/b", "https://api.example.com/a/b"},
	    {"https://api.example.com", "https://api.example.com"},
	    {"https://me:pass@api.example.com:8443/a?x=1", "https://api.example.com:8443/a?x"},
	    {"https://me:p@ss@api.example.com/a@b", "https://api.example.com/a@b"},
	    {"http://h/?a=1&b[]=2&b[]=3&=4", "http://h/?a&b[]&b[]&*"},
	    {"http://h/p?secret", "http://h/p?*"},
	    {"http://h/p?secret=&a=1", "http://h/p?*&a"},
	    {"http://h/p?a=b=c&&d=1&", "http://h/p?a&*&d&"},
	    {"http://h/p#secret", "http://h/p"},
	    {"http://h/p?a=1#b=secret", "http://h/p?a"},
	    {"http://h?a=secret", "http://h?a"},
	    {"secret", ""},
	    {"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct buf out;

		buf_init(&out, 4096);
		shown_url(cases[i].url, &out);
		buf_add_char(&out, '\0');
		check_text(out.data, cases[i].shown);
		buf_fini(&out);
	}
}

int
main(void)
{
	CHECK_RUN(only_names_are_left_of_what_may_be_secret);
	return check_done();
}
