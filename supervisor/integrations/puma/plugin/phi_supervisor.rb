# frozen_string_literal: true

# Each worker of puma beats for itself.  Needs `heartbeat = { scope = "process" }`, and in puma's configuration:
#
#     $LOAD_PATH << "…/supervisor/integrations"   # or "…/lib" of the application, with this file in lib/puma/plugin
#     plugin :phi_supervisor
#
# A worker beats while one of its threads is free, or a thread has begun a request since the last beat.  When all its
# threads work and none begins another request, it says so once: this may last LONGEST_REQUEST seconds (60, a variable of
# the environment).  A thread sends the beats, so a worker is silent as well where Ruby itself stands still.  puma's own
# look at its workers finds a stopped process, but no request that hangs.  READY=1 is sent when puma has booted.
# Tried with puma 5.6.

require "puma/plugin"
require "socket"

module PhiSupervisor
  INTERVAL = ENV.fetch("WATCHDOG_USEC", "0").to_f / 2e6
  LONGEST = Float(ENV.fetch("LONGEST_REQUEST", "60"))

  # Sends one datagram.  A beat that cannot be sent at once is dropped.
  def self.notify(text)
    address = ENV.fetch("NOTIFY_SOCKET", "").sub(/\A@/, "\0")
    return if address.empty?

    socket = Socket.new(:UNIX, :DGRAM)
    socket.sendmsg_nonblock(text, 0, Socket.sockaddr_un(address))
  rescue SystemCallError, IO::WaitWritable
    nil
  ensure
    socket&.close
  end

  # The beats of one worker, for as long as its server is the current one of this process.
  class Beats
    @current = nil
    class << self
      attr_accessor :current
    end

    def initialize(server)
      @server = server
      @began = -1
      @told = false
    end

    def start
      self.class.current = self
      PhiSupervisor.notify("WATCHDOG=1")
      Thread.new do
        while self.class.current.equal?(self)
          sleep INTERVAL
          tick
        end
      end
    end

    def tick
      stats = @server.stats
      began = stats[:requests_count]
      if stats.fetch(:pool_capacity, 1).positive? || began != @began
        @told = false
        PhiSupervisor.notify("WATCHDOG=1\nSENT_USEC=#{Process.clock_gettime(Process::CLOCK_MONOTONIC, :microsecond)}")
      elsif !@told
        @told = true
        work = "all #{stats[:max_threads]} threads"
        PhiSupervisor.notify("WATCHDOG=1\nBUSY_USEC=#{(LONGEST * 1e6).round}\nBUSY=#{work}")
      end
      @began = began
    end
  end

  # Lets a server beat from its start.
  module Watched
    def run(*arguments, **options, &block)
      Beats.new(self).start
      super
    end
  end
end

Puma::Plugin.create do
  def config(dsl)
    return unless PhiSupervisor::INTERVAL.positive?

    # Before it loads the application, so that a worker that never gets further is found.
    forked = dsl.respond_to?(:before_worker_boot) ? :before_worker_boot : :on_worker_boot
    dsl.public_send(forked) { PhiSupervisor.notify("WATCHDOG=1") }
    require "puma/server"
    Puma::Server.prepend(PhiSupervisor::Watched)
  end

  def start(launcher)
    events = launcher.events
    booted = events.respond_to?(:on_booted) ? :on_booted : :after_booted
    events.public_send(booted) { PhiSupervisor.notify("READY=1") }
  end
end
