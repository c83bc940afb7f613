# Writes sql/migrations.c: each file given as a C string, under its name.
FNR == 1 {
	name = FILENAME
	sub(/.*\//, "", name)
	sub(/\.sql$/, "", name)
	if (NR == 1)
		print "/* Made by sql/embed.awk. */\n#include \"sql/migrations.h\"\n\nconst struct migration migrations[] = {"
	else
		print "\t},"
	printf "\t{\"%s\",\n", name
}
{
	gsub(/\\/, "&&")
	gsub(/"/, "\\\\&")
	printf "\t \"%s\\n\"\n", $0
}
END { print "\t},\n\t{0, 0},\n};" }
