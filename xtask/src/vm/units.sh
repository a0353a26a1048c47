#!/bin/bash
# Runs in a test machine once systemd is up: the package as its user has it, and the units as systemd runs them.
status=0
ok() { echo "test $1 ... ok${2:+ ($2)}"; }
bad() {
    echo "test $1 ... FAILED: $2"
    journalctl --no-pager --quiet --lines 25 --unit portscope --unit portscope-record
    status=1
}
# judge NAME VALUE EXPECTED
judge() { if [[ $2 == $3 ]]; then ok "$1" "$2"; else bad "$1" "'$2', not '$3'"; fi; }
# within SECONDS COMMAND…
within() {
    local left=$1
    shift
    while ! "$@"; do
        ((left-- > 0)) || return 1
        sleep 1
    done
}
show() { systemctl show --value --property "$2" "$1"; }
scrape() {
    exec 3<>/dev/tcp/127.0.0.1/19768 || return 1
    printf 'GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n' >&3
    cat <&3
    exec 3>&-
} 2>/dev/null
counted() { scrape | grep -q "^portscope_program_allocations_total{program=\"bash\".*} [1-9]"; }
restarted() { [[ $(show portscope NRestarts) -ge 1 && $(show portscope ActiveState) == active ]]; }
rights() { sed -n "s/^$2:[[:space:]]*\([^[:space:]]*\).*/\1/p" "/proc/$1/status"; }
dumped() { compgen -G '/var/lib/private/portscope/dumps/*' >/dev/null; }

[[ -d /sys/kernel/tracing/events ]] || mount -t tracefs tracefs /sys/kernel/tracing
dpkg --install /root/portscope.deb >/root/dpkg.log 2>&1
judge package_is_installed $? 0
judge nothing_is_enabled "$(systemctl is-enabled portscope portscope-record | tr '\n' ' ')" 'disabled disabled '

for unit in portscope portscope-record; do
    judge "verify_has_no_word_on_$unit" "$(systemd-analyze verify --man=no /lib/systemd/system/$unit.service 2>&1)" ''
    exposure=$(systemd-analyze security --no-pager $unit.service | sed -n 's/.*Overall exposure level[^:]*: \([0-9.]*\) .*/\1/p')
    # docs/012 says what each tenth is for.
    [[ $unit == portscope ]] && most=32 || most=31
    ((${exposure/./} <= most))
    judge "exposure_of_${unit}_is_$exposure" $? 0
done

systemctl start portscope
judge serve_is_active "$(show portscope ActiveState)" active
pid=$(show portscope MainPID)
judge serve_told_systemd "$(show portscope Type) $(show portscope StatusText)" 'notify*'
judge serve_is_not_root "$(rights "$pid" Uid)" '[1-9]*'
judge serve_can_get_no_new_rights "$(rights "$pid" NoNewPrivs)" 1
echo "rights of serve: permitted $(rights "$pid" CapPrm), in force $(rights "$pid" CapEff), bounding $(rights "$pid" CapBnd)"
within 30 counted
judge serve_counts_the_scrapes $? 0
journalctl --no-pager --quiet --output cat --unit portscope

kill -STOP "$pid"
within 150 restarted
judge watchdog_restarts_what_hangs "$(show portscope NRestarts) $(show portscope ActiveState)" '1 active'
[[ $(show portscope MainPID) != "$pid" ]]
judge watchdog_made_another_process $? 0
within 30 counted
judge it_counts_again $? 0

systemctl stop portscope
judge serve_stops_by_itself "$(show portscope Result) $(show portscope ExecMainStatus)" 'success 0'
[[ ! -e /run/portscope ]]
judge its_socket_is_gone $? 0

systemctl start portscope-record
sleep 5
judge record_is_active "$(show portscope-record ActiveState)" active
pid=$(show portscope-record MainPID)
judge record_is_not_root "$(rights "$pid" Uid)" '[1-9]*'
echo "rights of record: permitted $(rights "$pid" CapPrm), in force $(rights "$pid" CapEff), bounding $(rights "$pid" CapBnd)"
systemctl start portscope
for _ in 1 2 3 4 5; do scrape >/dev/null; done
sleep 3
systemctl reload portscope-record
judge record_reloads $? 0
within 30 dumped
judge reload_makes_a_dump $? 0
ls -lnR /var/lib/private/portscope
systemctl stop portscope-record
judge record_stops_by_itself "$(show portscope-record Result) $(show portscope-record ExecMainStatus)" 'success 0'
report=$(portscope report -r /var/lib/private/portscope --by exe 2>&1)
judge its_recording_has_the_scrapes "$report" '*bash*'

# The unit that still runs is stopped by it.
dpkg --purge portscope >>/root/dpkg.log 2>&1
judge package_is_purged $? 0
judge nothing_runs "$(systemctl is-active portscope portscope-record | tr '\n' ' ')" 'inactive inactive '
judge nothing_is_left "$(find / -xdev -name '*portscope*' -not -path '/root/*' -not -path '/proc/*' -not -path '/var/log/*')" ''
exit $status
