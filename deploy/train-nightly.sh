#!/bin/sh
# Trains, gates and publishes once a day at DIGITS_TRAIN_AT (UTC); compose's profile train-nightly runs it.
#
# A run trains only if the store has no version of this recipe, code and data. The next run follows whatever the result.
# If the last run failed, /tmp/failed exists, which the container's health check looks for.
set -u

at=${DIGITS_TRAIN_AT:-02:30}
every_seconds=${DIGITS_TRAIN_EVERY_SECONDS:-86400} # a shorter interval is counted from DIGITS_TRAIN_AT too

main() {
  offset_seconds=$(date --utc --date "1970-01-01 $at" +%s) || exit 2
  while :; do
    now=$(date +%s)
    wait_seconds=$((every_seconds - (now - offset_seconds) % every_seconds))
    echo "next run      $(date --utc --date "@$((now + wait_seconds))" '+%F %T UTC')"
    sleep "$wait_seconds"
    run
  done
}

run() {
  python -m trainer bootstrap --needs-data
  status=$?
  case $status in
    0) rm -f /tmp/failed ;;
    3) rm -f /tmp/failed && echo 'refused       by the quality gate; the version that serves goes on' ;;
    *) touch /tmp/failed && echo "failed        with $status; the version that serves goes on" ;;
  esac
}

main
