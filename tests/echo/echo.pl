#!/usr/bin/perl
# Tells how Apache reads what it is sent, as CGI has it, framed as nginx's echo is.
binmode STDIN;
binmode STDOUT;
local $/;
my $body = <STDIN> // "";
print "Content-Type: text/plain\r\n\r\n";
print join("\n", map { $_ // "" } @ENV{qw(REQUEST_METHOD REQUEST_URI PATH_INFO QUERY_STRING)}), "\n";
for my $name (sort keys %ENV) {
  my $field = $name =~ /^HTTP_(.*)/ ? $1 : $name =~ /^CONTENT_(TYPE|LENGTH)$/ ? $name : next;
  print "$field: $ENV{$name}\n" if $ENV{$name} ne "" || $name =~ /^HTTP_/;
}
print "\n==body==\n", $body;
