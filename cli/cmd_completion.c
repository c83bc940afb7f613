/* cli/cmd_completion.c - sluice completion: scripts that complete commands and options, made from the
 * table of commands, so that they know what this program knows. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/trouble.h"

static bool
is_first_of_group(const struct command *command)
{
	return command->group != NULL && (command == commands || (command - 1)->group == NULL ||
					  strcmp((command - 1)->group, command->group) != 0);
}

/* Words that may stand first. */
static void
print_firsts(void)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (c->group == NULL || is_first_of_group(c))
			printf(" %s", c->group != NULL ? c->group : c->name);
}

static void
print_names_of(const char *group)
{
	for (const struct command *c = commands; c->name != NULL; c++)
		if (c->group != NULL && strcmp(c->group, group) == 0)
			printf(" %s", c->name);
}

static void
print_option_names(const struct command_option *options)
{
	for (; options != NULL && options->name != NULL; options++)
		printf(" %s", options->name);
}

/* "--host|--dir": those whose next word is a value. */
static void
print_valued(void)
{
	const char *bar = "";

	for (const struct command_option *o = command_globals; o->name != NULL; o++)
		if (o->value != NULL) {
			printf("%s%s", bar, o->name);
			bar = "|";
		}
	for (const struct command *c = commands; c->name != NULL; c++)
		for (const struct command_option *o = c->options; o != NULL && o->name != NULL; o++)
			if (o->value != NULL)
				printf("|%s", o->name);
}

/* Sets `names` to what may stand next; $first and $second are the words of the command so far. */
static void
print_cases(void)
{
	puts("\tcase \"$first $second\" in");
	fputs("\t\" \") names=\"", stdout);
	print_firsts();
	puts("\" ;;");
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (is_first_of_group(c)) {
			printf("\t\"%s \") names=\"", c->group);
			print_names_of(c->group);
			puts("\" ;;");
		}
	}
	puts("\t\"completion \") names=\"bash zsh\" ;;");
	puts("\t\"help \") names=\"$topics\" ;;");
	puts("\tesac");
	puts("\tcase \"$first $second\" in");
	for (const struct command *c = commands; c->name != NULL; c++) {
		if (c->options == NULL)
			continue;
		printf("\t\"%s%s%s\"*) options=\"$options", c->group != NULL ? c->group : "",
		       c->group != NULL ? " " : "", c->name);
		print_option_names(c->options);
		puts("\" ;;");
	}
	puts("\tesac");
}

/* The part that both shells can run: sets $next to candidates, from the words before the cursor. */
static void
print_common(void)
{
	puts("_sluice_next() {\n"
	     "\tlocal first=\"\" second=\"\" word skip=\"\" names=\"\" options");
	fputs("\tlocal topics=\"", stdout);
	print_firsts();
	puts("\"");
	fputs("\toptions=\"--help --version", stdout);
	print_option_names(command_globals);
	puts("\"");
	puts("\tfor word in \"$@\"; do\n"
	     "\t\tif [ -n \"$skip\" ]; then skip=\"\"; continue; fi\n"
	     "\t\tcase \"$word\" in");
	fputs("\t\t", stdout);
	print_valued();
	puts(
	    ") skip=yes ;;\n"
	    "\t\t-*) ;;\n"
	    "\t\t*) if [ -z \"$first\" ]; then first=\"$word\"; elif [ -z \"$second\" ]; then second=\"$word\"; fi ;;\n"
	    "\t\tesac\n"
	    "\tdone");
	print_cases();
	puts("\tnext_words=\"$names\" next_options=\"$options\"\n}");
}

static void
print_bash(void)
{
	puts("# bash completion of sluice, printed by `sluice completion bash`.");
	print_common();
	puts(
	    "_sluice() {\n"
	    "\tlocal current=\"${COMP_WORDS[COMP_CWORD]}\" before=\"${COMP_WORDS[COMP_CWORD-1]}\" next_words next_options\n"
	    "\tCOMPREPLY=()\n"
	    "\tcase \"$before\" in\n"
	    "\t--dir) mapfile -t COMPREPLY < <(compgen -d -- \"$current\"); return ;;\n"
	    "\t--key-file) mapfile -t COMPREPLY < <(compgen -f -- \"$current\"); return ;;\n"
	    "\tesac");
	fputs("\tcase \"$before\" in ", stdout);
	print_valued();
	puts(") return ;; esac\n"
	     "\t_sluice_next \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"\n"
	     "\tcase \"$current\" in\n"
	     "\t-*) mapfile -t COMPREPLY < <(compgen -W \"$next_options\" -- \"$current\") ;;\n"
	     "\t*) mapfile -t COMPREPLY < <(compgen -W \"$next_words\" -- \"$current\") ;;\n"
	     "\tesac\n"
	     "}\n"
	     "complete -F _sluice sluice");
}

static void
print_zsh(void)
{
	puts("#compdef sluice\n"
	     "# zsh completion of sluice, printed by `sluice completion zsh`.");
	print_common();
	puts("_sluice() {\n"
	     "\tlocal next_words next_options\n"
	     "\tcase \"${words[CURRENT-1]}\" in\n"
	     "\t--dir) _files -/; return ;;\n"
	     "\t--key-file) _files; return ;;\n"
	     "\tesac");
	fputs("\tcase \"${words[CURRENT-1]}\" in ", stdout);
	print_valued();
	puts(
	    ") return ;; esac\n"
	    "\t_sluice_next \"${(@)words[2,CURRENT-1]}\"\n"
	    "\tif [[ \"${words[CURRENT]}\" == -* ]]; then compadd -- ${=next_options}; else compadd -- ${=next_words}; fi\n"
	    "}\n"
	    "if [ \"$funcstack[1]\" = _sluice ]; then _sluice \"$@\"; else compdef _sluice sluice; fi");
}

int
cmd_completion(struct cli *cli, const struct arguments *arguments)
{
	if (strcmp(arguments->words[0], "bash") == 0)
		print_bash();
	else if (strcmp(arguments->words[0], "zsh") == 0)
		print_zsh();
	else
		return fail_usage(cli, "there is no completion for %.40s, only for bash and zsh",
				  arguments->words[0]);
	return EX_OK;
}
