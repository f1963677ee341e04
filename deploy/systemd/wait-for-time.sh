#!/bin/sh
# Where a time server is set up, waits until it has set the clock: at most until two minutes after the
# boot, and not at all where there is none, nor when the service is started again later.
limit_s=${1:-120}
uptime_s() { cut -d. -f1 "${UPTIME:-/proc/uptime}"; }
while [ "$(uptime_s)" -lt "$limit_s" ]; do
  case "$(timedatectl show --property=NTP --property=NTPSynchronized 2>/dev/null)" in
    *NTP=yes*NTPSynchronized=no*) sleep 1 ;;
    *) exit 0 ;;
  esac
done
