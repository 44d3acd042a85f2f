# What users of DBD::Pg do. See ../README.md for the rules of these programs.
use strict;
use warnings;
use DBI;
use DBD::Pg qw(:pg_types :async);
use Digest::MD5 qw(md5_hex);
use Encode qw(encode);
use POSIX ();

$| = 1;
my $primary = '/* pointsman: read_hint=primary */ ';
my @topics;

sub topic { push @topics, [@_] }

sub connect_with {
	my ($more, %attributes) = @_;
	return DBI->connect('dbi:Pg:' . ($more // ''), undef, undef,
		{ RaiseError => 1, PrintError => 0, PrintWarn => 0, AutoCommit => 1, %attributes });
}

sub show { print join(' ', map { !defined $_ ? 'undef' : ref $_ eq 'ARRAY' ? '[' . join(',', map { $_ // 'undef' } @$_) . ']' : $_ } @_), "\n" }

sub digest { my $bytes = utf8::is_utf8($_[0]) ? encode('UTF-8', $_[0]) : $_[0]; return length($bytes) . ' ' . md5_hex($bytes) }

sub value { my ($db, $sql, @values) = @_; return ($db->selectrow_array($sql, undef, @values))[0] }

sub error {
	my ($action) = @_;
	if (eval { $action->(); 1 }) {
		show('  no error');
	} else {
		my $h = $DBI::lasth;
		my $db = $h->isa('DBI::st') ? $h->{Database} : $h;
		show('  error:', $h->state, $db->pg_error_field('message_primary') // 'undef',
			$db->pg_error_field('message_detail') // '', $db->pg_error_field('constraint_name') // '');
	}
}

topic session => sub {
	my $db = connect_with(q{options='-c work_mem=3MB -c search_path=public';application_name='my app'});
	show($db->{pg_server_version} > 0 ? 'version' : 'no version', $db->{pg_protocol}, $db->{pg_db});
	show(map { value($db, "SHOW $_") } qw(work_mem search_path application_name client_encoding));
	$db->do("SET application_name = 'another'");
	$db->do("SET TIME ZONE 'Asia/Tokyo'");
	show(value($db, 'SHOW application_name'), value($db, "SELECT '2024-01-01 00:00Z'::timestamptz"));
	$db->begin_work;
	$db->do("SET LOCAL work_mem = '5MB'");
	show('in', value($db, 'SHOW work_mem'));
	$db->commit;
	show('after', value($db, 'SHOW work_mem'), $db->ping, $db->pg_ping);
	$db->do("SET work_mem = '7MB'");
	$db->do('RESET ALL');
	show(value($db, 'SHOW work_mem'), value($db, 'SHOW TimeZone'));
	error(sub { $db->do("SET work_mem = 'nonsense'") });
	$db->disconnect;
};

topic types => sub {
	my $db = connect_with();
	my @values = (['int8', '-4611686018427387904'], ['float8', '1.5e300'], ['bool', 't'], ['numeric', '12345678901234567890.000100'],
		['text', "h\x{e9}llo \x{2603}"], ['date', '2024-02-29'], ['timestamptz', '2024-02-29 12:00:00+00'], ['uuid', '00000000-0000-0000-0000-00000000002a'],
		['jsonb', '{"a": [1, null]}'], ['int4[]', [1, undef, 3]], ['text[]', ['a', 'b"c', undef, '']], ['inet', '10.1.2.3/24'], ['text', undef]);
	binmode STDOUT, ':utf8';
	for (@values) {
		my ($type, $value) = @$_;
		show($type, value($db, "SELECT ?::$type", $value));
	}
	my $st = $db->prepare('SELECT ?::bytea');
	$st->bind_param(1, join('', map { chr } 0 .. 255), { pg_type => PG_BYTEA });
	$st->execute;
	show(digest($st->fetchrow_array));
	$st = $db->prepare("SELECT 1 AS a, 'x'::varchar(7) AS b, 1.5::numeric(6,2) AS c");
	$st->execute;
	show($st->{NAME}, $st->{pg_type}, $st->{PRECISION}, $st->{SCALE}, $st->{NUM_OF_FIELDS});
	$st->finish;
	binmode STDOUT, ':pop';
	$db->disconnect;
};

topic large => sub {
	my $db = connect_with();
	my $text = "0123456789abcdef\x{2603}" x 200000;
	my $bytes = join('', map { chr($_ & 255) } 0 .. 65535) x 40;
	$db->do('CREATE TABLE large (id int PRIMARY KEY, t text, b bytea)');
	my $st = $db->prepare('INSERT INTO large VALUES (1, ?, ?)');
	$st->bind_param(1, $text);
	$st->bind_param(2, $bytes, { pg_type => PG_BYTEA });
	$st->execute;
	my ($t, $b) = $db->selectrow_array('SELECT t, b FROM large');
	show(digest($t), digest($b));
	my $rows = $db->selectall_arrayref("SELECT n, repeat('x', 100) FROM generate_series(1, 30000) n");
	show(scalar @$rows, $rows->[-1][0]);
	$db->disconnect;
};

topic transactions => sub {
	my $db = connect_with('', AutoCommit => 0);
	$db->do('CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL)');
	$db->do('INSERT INTO accounts SELECT n, ? FROM generate_series(1, 5) n', undef, 100);
	$db->commit;
	$db->do('UPDATE accounts SET amount = 0');
	show(value($db, 'SELECT sum(amount) FROM accounts'));
	$db->rollback;
	show(value($db, 'SELECT sum(amount) FROM accounts'));
	$db->pg_savepoint('a');
	error(sub { $db->do('INSERT INTO accounts VALUES (1, 1)') });
	error(sub { $db->do('SELECT 1') });
	$db->pg_rollback_to('a');
	$db->do('UPDATE accounts SET amount = amount + 1 WHERE id = 1');
	$db->pg_release('a');
	$db->commit;
	show(value($db, 'SELECT sum(amount) FROM accounts'));
	$db->commit;
	$db->{ReadOnly} = 1;
	show(value($db, 'SHOW transaction_read_only'), value($db, 'SELECT count(*) FROM accounts'));
	error(sub { $db->do('DELETE FROM accounts') });
	$db->rollback;
	$db->{ReadOnly} = 0;
	$db->{AutoCommit} = 1;
	$db->begin_work;
	error(sub { $db->do('SELECT 1/0') });
	$db->commit;
	show(value($db, 'SELECT count(*) FROM accounts'), $db->{AutoCommit});
	$db->disconnect;
};

topic prepared => sub {
	# Named on the server from the second execution on, and deallocated with SQL.
	for my $switch (0, 1, 2) {
		my $db = connect_with('', pg_switch_prepared => $switch);
		$db->do('DROP TABLE IF EXISTS prepared');
		$db->do('CREATE TABLE prepared (id int PRIMARY KEY, v text)');
		$db->do("INSERT INTO prepared SELECT n, 'v' || n FROM generate_series(1, 20) n");
		my $st = $db->prepare('SELECT v FROM prepared WHERE id = ?');
		show('switch', $switch, map { $st->execute($_); $st->fetchrow_array } 1 .. 6);
		$st->finish;
		undef $st;
		for my $n (1 .. 20) {
			my $other = $db->prepare("SELECT $n + ?::int");
			$other->execute($_), $other->fetchall_arrayref for 1 .. 3;
		}
		my $wrong = $db->prepare('SELECT 1 / ?::int');
		error(sub { $wrong->execute(0) });
		$wrong->execute(1);
		show($wrong->fetchrow_array);
		error(sub { $db->prepare('SELECT nothing FROM prepared', { pg_prepare_now => 1 }) });
		my $now = $db->prepare('SELECT id FROM prepared WHERE v = $1', { pg_prepare_now => 1 });
		$now->execute('v7');
		show($now->fetchrow_array);
		$now->finish;
		$db->do('DEALLOCATE ALL');
		show(value($db, 'SELECT 1'));
		$db->disconnect;
	}
	my $db = connect_with('', pg_server_prepare => 0);
	show(map { value($db, 'SELECT ?::int', $_) } 1 .. 3);
	my $cached = $db->prepare_cached('SELECT ?::text || ?::text');
	$cached->execute('a', 'b');
	show($cached->fetchrow_array);
	$cached->finish;
	$db->disconnect;
};

topic copies => sub {
	my $db = connect_with();
	$db->do('CREATE TABLE copies (id int PRIMARY KEY, v text)');
	$db->do('COPY copies FROM STDIN');
	$db->pg_putcopydata("$_\tvalue $_\n") for 0 .. 9999;
	show($db->pg_putcopyend);
	$db->do('COPY (SELECT * FROM copies ORDER BY id) TO STDOUT');
	my ($all, $line) = ('', '');
	$all .= $line while $db->pg_getcopydata($line) >= 0;
	show(digest($all));
	$db->do('COPY copies FROM STDIN');
	$db->pg_putcopydata("5\tagain\n");
	error(sub { $db->pg_putcopyend });
	error(sub { $db->do('COPY nowhere FROM STDIN') });
	show(value($db, 'SELECT count(*) FROM copies'));
	$db->disconnect;
};

topic notifications => sub {
	my ($listener, $sender) = (connect_with(), connect_with());
	$listener->do('LISTEN first');
	$listener->do('LISTEN "Second"');
	$sender->do("NOTIFY first, 'payload $_'") for 1 .. 3;
	$sender->do('SELECT pg_notify(?, ?)', undef, 'Second', 'x' x 7000);
	my $next = sub {
		my $heard;
		while (!($heard = $listener->pg_notifies)) {
			my $bits = '';
			vec($bits, $listener->{pg_socket}, 1) = 1;
			select($bits, undef, undef, 20) or die 'nothing is heard';
		}
		show($heard->[0], length $heard->[2] > 50 ? digest($heard->[2]) : $heard->[2]);
	};
	$next->() for 1 .. 4;
	$listener->do('UNLISTEN first');
	$sender->do("NOTIFY first, 'not heard'");
	$sender->do(q{NOTIFY "Second", 'heard'});
	$next->();
	$listener->do('UNLISTEN *');
	$_->disconnect for $listener, $sender;
};

topic notices => sub {
	my $db = connect_with();
	local $SIG{__WARN__} = sub { print "  warned: $_[0]" };
	$db->{PrintWarn} = 1;
	$db->do(q{DO $$ BEGIN RAISE NOTICE 'hello %', 1; RAISE WARNING 'beware'; END $$});
	$db->do('DROP TABLE IF EXISTS no_such_table');
	$db->disconnect;
};

topic asynchronous => sub {
	my $db = connect_with();
	$db->do("SELECT pg_sleep(0.1)", { pg_async => PG_ASYNC });
	my $polls = 0;
	select(undef, undef, undef, 0.01), $polls++ until $db->pg_ready;
	show($polls > 0 ? 'waited' : 'at once', $db->pg_result);
	my $other = connect_with();
	$db->do("$primary SELECT pg_sleep(60)", { pg_async => PG_ASYNC });
	my $running = q{SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(60)' AND datname = current_database()};
	select(undef, undef, undef, 0.02) until value($other, $running) == 1;
	my $cancelled = $db->pg_cancel;
	show($cancelled ? 'cancelled' : 'not cancelled', value($db, "SELECT 'alive'"));
	$other->disconnect;
	$db->disconnect;
};

topic timeouts => sub {
	my $db = connect_with("options='-c statement_timeout=100'");
	error(sub { $db->do('SELECT pg_sleep(60)') });
	show(value($db, 'SHOW statement_timeout'));
	my $other = connect_with();
	$other->begin_work;
	$other->do('SELECT * FROM accounts WHERE id = 1 FOR UPDATE');
	$db->do("SET lock_timeout = '20ms'");
	error(sub { $db->do('UPDATE accounts SET amount = 1 WHERE id = 1') });
	$other->rollback;
	$_->disconnect for $db, $other;
};

topic errors => sub {
	my $db = connect_with();
	$db->do('CREATE TABLE errors (id int PRIMARY KEY, positive int CONSTRAINT is_positive CHECK (positive > 0))');
	$db->do('INSERT INTO errors VALUES (1, 1)');
	for my $sql ('SELEC 1', 'SELECT * FROM no_such_table', 'INSERT INTO errors VALUES (1, 1)', 'INSERT INTO errors VALUES (2, -1)',
		'SELECT 1/0', "SELECT 'x'::int", 'INSERT INTO errors VALUES (3, 1); SELECT 1/0') {
		show('query:', $sql);
		error(sub { $db->do($sql) });
		show(value($db, "SELECT 'next'"));
	}
	show(value($db, 'SELECT count(*) FROM errors'));
	error(sub { $db->do('INSERT INTO errors VALUES (?, ?)', undef, 1, 1) });
	show($db->do('INSERT INTO errors VALUES (8, 1); INSERT INTO errors VALUES (9, 1)'), value($db, 'SELECT count(*) FROM errors'));
	my @status;
	my $st = $db->prepare('INSERT INTO errors VALUES (?, ?)');
	eval { $st->execute_array({ ArrayTupleStatus => \@status }, [20, 1, 21], [1, 1, 1]) };
	show(map { ref $_ ? $_->[2] : $_ } @status);
	show(value($db, 'SELECT count(*) FROM errors'));
	$db->disconnect;
};

topic cursors => sub {
	my $db = connect_with('', AutoCommit => 0);
	$db->do('DECLARE cur CURSOR FOR SELECT n FROM generate_series(1, 1000) n');
	for (1 .. 3) {
		show(map { $_->[0] } @{ $db->selectall_arrayref('FETCH 4 FROM cur') });
	}
	$db->do('MOVE 100 IN cur');
	show(value($db, 'FETCH cur'));
	$db->do('CLOSE cur');
	$db->do('DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 100) n');
	$db->commit;
	show(value($db, 'FETCH 1 FROM held'), value($db, 'FETCH 1 FROM held'));
	$db->do('CLOSE held');
	$db->commit;
	$db->disconnect;
};

topic large_objects => sub {
	my $db = connect_with('', AutoCommit => 0);
	my $bytes = join('', map { chr($_ % 251) } 1 .. 100000);
	my $object = $db->pg_lo_creat($db->{pg_INV_WRITE});
	my $fd = $db->pg_lo_open($object, $db->{pg_INV_WRITE});
	show($db->pg_lo_write($fd, $bytes, length $bytes));
	$db->pg_lo_close($fd);
	$db->commit;
	$fd = $db->pg_lo_open($object, $db->{pg_INV_READ});
	my ($all, $part) = ('', '');
	$all .= $part while $db->pg_lo_read($fd, $part, 30000);
	show(digest($all));
	$db->pg_lo_close($fd);
	show($db->pg_lo_unlink($object) ? 'unlinked' : 'not unlinked');
	$db->commit;
	$db->disconnect;
};

topic session_state => sub {
	my ($db, $other) = (connect_with(), connect_with());
	$db->do('CREATE TEMP TABLE temporary (n int)');
	$db->do('INSERT INTO temporary VALUES (?), (?)', undef, 1, 2);
	show(value($db, 'SELECT sum(n) FROM temporary'));
	error(sub { $other->do('SELECT * FROM temporary') });
	show(value($db, 'SELECT pg_try_advisory_lock(42)'), value($other, 'SELECT pg_try_advisory_lock(42)'));
	show(value($db, 'SELECT pg_advisory_unlock(42)'), value($other, 'SELECT pg_try_advisory_lock(42)'));
	$other->do('DISCARD ALL');
	$db->do('CREATE SEQUENCE seq');
	$db->begin_work;
	show(value($db, "SELECT nextval('seq')"), $db->last_insert_id(undef, undef, undef, undef, { sequence => 'seq' }));
	$db->do('DROP TABLE temporary');
	$db->do('CREATE TABLE described (id serial PRIMARY KEY, name varchar(20) NOT NULL)');
	show(map { "$_->{COLUMN_NAME} $_->{TYPE_NAME}" } @{ $db->column_info(undef, 'public', 'described', undef)->fetchall_arrayref({}) });
	show($db->primary_key(undef, 'public', 'described'));
	$db->do("INSERT INTO described (name) VALUES ('x')");
	show($db->last_insert_id(undef, 'public', 'described', undef));
	$db->commit;
	$_->disconnect for $db, $other;
};

# Processes, as a server of web pages has them, each with a connection of its own.
topic processes => sub {
	my $db = connect_with();
	$db->do('CREATE TABLE pool (id int PRIMARY KEY, amount int)');
	$db->do('INSERT INTO pool SELECT n, 1000 FROM generate_series(0, 15) n');
	my @children;
	for my $me (0 .. 15) {
		my $pid = fork;
		if ($pid) {
			push @children, $pid;
			next;
		}
		$db->{InactiveDestroy} = 1;
		my $wrong = 0;
		my $own = connect_with("application_name='number $me'");
		my $take = $own->prepare('UPDATE pool SET amount = amount - 1 WHERE id = ?');
		my $look = $own->prepare('SELECT amount FROM pool WHERE id = ?');
		for my $round (1 .. 10) {
			$own->begin_work;
			$own->do("SET LOCAL work_mem = '" . ($me + 1) . "MB'");
			$take->execute($me);
			$wrong++ if value($own, 'SHOW work_mem') ne ($me + 1) . 'MB';
			$own->commit;
			$look->execute($me);
			$wrong++ if $look->fetchrow_array != 1000 - $round;
			$look->finish;
			$wrong++ if value($own, 'SHOW application_name') ne "number $me";
		}
		undef $_ for $take, $look;
		$own->disconnect;
		POSIX::_exit($wrong ? 1 : 0);
	}
	my $wrong = 0;
	for (@children) {
		waitpid $_, 0;
		$wrong++ if $?;
	}
	show($wrong, $db->selectrow_array($primary . 'SELECT sum(amount), min(amount) FROM pool'));
	$db->disconnect;
};

topic reconnecting => sub {
	for my $n (1 .. 20) {
		my $db = connect_with("application_name='number $n'");
		show('wrong name') if value($db, 'SHOW application_name') ne "number $n";
		$db->disconnect;
	}
	my $abandoned = connect_with('', AutoCommit => 0);
	$abandoned->do('DELETE FROM accounts');
	undef $abandoned;
	my $db = connect_with();
	my $clone = $db->clone;
	show(value($clone, $primary . 'SELECT count(*) FROM accounts'));
	$_->disconnect for $db, $clone;
	for (['dbname=no_such_database'], ['', 'nobody', 'wrong']) {
		my ($more, $user, $password) = @$_;
		eval { DBI->connect("dbi:Pg:$more", $user, $password, { RaiseError => 1, PrintError => 0 }) };
		show($@ ? 'refused' : 'connected', $DBI::err);
	}
};

for (@topics) {
	my ($name, $run) = @$_;
	next if @ARGV && !grep { $_ eq $name } @ARGV;
	print "== $name\n";
	if (!eval { $run->(); 1 }) {
		print "\nEXCEPTION $@\n";
		print STDERR $@;
	}
}
print "== end\n";
