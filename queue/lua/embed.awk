# embed.awk - turn Lua scripts into queue/scripts.c: awk -f embed.awk push.lua exchange.lua ...
#
# A list of characters rather than a string: C11 promises only 4,095 bytes per literal.  Each file
# has its place in enum script_id of queue/scripts.h; its name there is the file's without suffix.
function finish() {
	if (name != "")
		print "};\n"
}
BEGIN {
	print "/* Made by queue/lua/embed.awk from queue/lua; not edited. */"
	print "#include \"queue/scripts.h\"\n"
}
FNR == 1 {
	finish()
	name = FILENAME
	sub(/^.*\//, "", name)
	sub(/\.lua$/, "", name)
	names[++count] = name
	printf "static const char %s_lua[] = {\n", name
}
{
	line = ""
	for (i = 1; i <= length($0); i++) {
		c = substr($0, i, 1)
		if (c == "'" || c == "\\")
			c = "\\" c
		else if (c == "\t")
			c = "\\t"
		else if (c < " " || c > "~") {
			printf "%s:%d: not ASCII\n", FILENAME, FNR | "cat >&2"
			exit failed = 1
		}
		line = line "'" c "',"
	}
	print line "'\\n',"
}
END {
	if (failed)
		exit 1
	finish()
	print "const struct script scripts[SCRIPT_COUNT] = {"
	for (i = 1; i <= count; i++)
		printf "    [SCRIPT_%s] = {\"%s\", %s_lua, sizeof(%s_lua)},\n", toupper(names[i]),
		    names[i], names[i], names[i]
	print "};"
	printf "_Static_assert(SCRIPT_COUNT == %d, \"a file is missing in local.mk\");\n", count
}
