// A runner in Go, without modules of others: JSON over WebSocket, one job at a time, scripts in sh. docs/protocol.md says why.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

const chunk = 32 * 1024

type m = map[string]any

type message struct {
	Seq                                                                               int64
	Welcome, Offer, OfferRevoked, LeaseState, LogAck, StateAck, Cancel, Ping, Goodbye *body
}

// body has the fields of all messages that matter here.
type body struct {
	JobID, Fence, LogOffset, DurableOffset, WindowBytes, LogWindowBytes, Revision, Nonce int64
	GraceMs, RenewEveryMs, ReconnectAfterMs                                              int64
	OfferID, Code, Verdict                                                               string
	Payload                                                                              []byte
	Verdicts, Leases                                                                     []body
	Cancel                                                                               *body
}

type job struct {
	sync.Mutex
	id, fence, acked, window, cancel    int64
	payload                             payload
	log                                 []byte
	report                              m
	process                             *exec.Cmd
	started, waiting, reported, stopped bool
}

type payload struct {
	GitInfo struct {
		RepoURL string `json:"repo_url"`
	} `json:"git_info"`
	RunnerInfo struct{ Timeout int } `json:"runner_info"`
	Variables  []struct {
		Key, Value string
		Masked     bool
	}
	Steps []struct {
		Name   string
		Script []string
	}
}

func (j *job) ref(more m) m {
	all := m{"jobId": j.id, "fence": j.fence}
	for key, value := range more {
		all[key] = value
	}
	return all
}

func (j *job) kill(how syscall.Signal) {
	j.Lock()
	defer j.Unlock()
	if j.process != nil && j.process.Process != nil && j.report == nil {
		syscall.Kill(-j.process.Process.Pid, how)
	}
}

func (j *job) run(work string) {
	folder, _ := os.MkdirTemp(work, "job")
	defer os.RemoveAll(folder)
	env, lines, secrets := os.Environ(), []string{}, []string{}
	sources := []string{`git clone -q "$SOURCES" .`, `git checkout -q "$CI_COMMIT_SHA"`, "unset SOURCES"}
	for _, one := range j.payload.Variables {
		env = append(env, one.Key+"="+one.Value)
		if one.Key == "GIT_STRATEGY" && one.Value == "none" {
			sources = nil
		}
		if one.Masked && one.Value != "" {
			secrets = append(secrets, one.Value, "[MASKED]")
		}
	}
	for _, step := range j.payload.Steps {
		if step.Name == "script" {
			lines = append(sources, step.Script...)
		}
	}
	command := exec.Command("sh", "-e", "-c", strings.Join(lines, "\n"))
	command.Dir, command.Env = folder, append(env, "SOURCES="+j.payload.GitInfo.RepoURL)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, input, _ := os.Pipe()
	command.Stdout, command.Stderr = input, input
	j.Lock()
	j.process = command
	err := command.Start()
	j.Unlock()
	input.Close()
	if err == nil {
		limit := time.AfterFunc(time.Duration(j.payload.RunnerInfo.Timeout)*time.Second, func() { j.kill(syscall.SIGKILL) })
		mask := strings.NewReplacer(secrets...)
		for reader := bufio.NewReader(output); err == nil; { // Whole lines, so that a secret is not cut in two.
			var line string
			line, err = reader.ReadString('\n')
			j.Lock()
			j.log = append(j.log, mask.Replace(line)...)
			j.Unlock()
		}
		err = command.Wait()
		limit.Stop()
	}
	j.Lock()
	defer j.Unlock()
	j.report = j.ref(m{"revision": 1, "state": "JOB_STATE_SUCCESS"})
	if err != nil {
		j.report["state"], j.report["failureReason"] = "JOB_STATE_FAILED", "script_failure"
		if command.ProcessState != nil && command.ProcessState.ExitCode() >= 0 {
			j.report["exitCode"] = command.ProcessState.ExitCode()
		}
	}
}

type runner struct {
	url                       *url.URL
	token, work, system, boot string
	conn                      net.Conn
	seq, ack, window          int64
	renewEvery, retry         time.Duration
	job                       *job
	leaving                   bool
}

// dial opens a WebSocket; what it receives comes through the channel, which is closed with it.
func (r *runner) dial() (<-chan message, error) {
	port := r.url.Port()
	if port == "" {
		port = "80"
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(r.url.Hostname(), port), 10*time.Second)
	if err != nil {
		return nil, err
	}
	key := base64.StdEncoding.EncodeToString([]byte(r.boot)[:16])
	fmt.Fprintf(conn, "GET %s/runner/v1/stream HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Protocol: signalbox.v1+json\r\n"+
		"Authorization: Bearer %s\r\n\r\n", strings.TrimRight(r.url.Path, "/"), r.url.Host, key, r.token)
	reader := bufio.NewReader(conn)
	status, err := reader.ReadString('\n')
	if err != nil || !strings.Contains(status, " 101 ") {
		conn.Close()
		return nil, fmt.Errorf("the coordinator answered %q", status)
	}
	for line := ""; line != "\r\n" && err == nil; {
		line, err = reader.ReadString('\n')
	}
	r.conn = conn
	came := make(chan message)
	go func() {
		defer close(came)
		for {
			head := make([]byte, 2)
			if _, err := io.ReadFull(reader, head); err != nil || head[0]&15 == 8 {
				return
			}
			size := uint64(head[1])
			if size == 126 {
				var short uint16
				binary.Read(reader, binary.BigEndian, &short)
				size = uint64(short)
			} else if size == 127 {
				binary.Read(reader, binary.BigEndian, &size)
			}
			data := make([]byte, size)
			if _, err := io.ReadFull(reader, data); err != nil {
				return
			}
			var one message
			if head[0]&15 == 1 && json.Unmarshal(data, &one) == nil {
				came <- one
			}
		}
	}()
	return came, nil
}

func (r *runner) send(kind string, value any) {
	r.seq++
	data, _ := json.Marshal(m{"seq": r.seq, "ack": r.ack, kind: value})
	// A frame must be masked: here with zeros, which change nothing.
	frame := append([]byte{0x81, 0xff}, binary.BigEndian.AppendUint64(nil, uint64(len(data)))...)
	r.conn.Write(append(append(frame, 0, 0, 0, 0), data...))
}

func (r *runner) want() {
	credits := 0
	if r.job == nil && !r.leaving {
		credits = 1
	}
	r.send("want", m{"credits": credits})
}

// pump sends what the job has to say: one piece of log at a time, then its report.
func (r *runner) pump() {
	j := r.job
	if j == nil || !j.started || j.waiting {
		return
	}
	j.Lock()
	defer j.Unlock()
	if j.cancel > 0 && j.report != nil && !j.stopped {
		r.send("cancelAck", j.ref(m{"revision": j.cancel, "phase": "CANCEL_PHASE_STOPPED"}))
		j.stopped = true
	}
	length := int64(len(j.log))
	if end := min(length, j.acked+min(chunk, j.window)); end > j.acked {
		r.send("logChunk", j.ref(m{"offset": j.acked, "data": j.log[j.acked:end]}))
		j.waiting = true
	} else if j.report != nil && !j.reported && j.acked == length {
		j.report["logLength"], j.report["logCrc32"] = length, crc32.ChecksumIEEE(j.log)
		r.send("stateUpdate", j.report)
		j.reported = true
	}
}

func (r *runner) isMine(one *body) bool {
	return one != nil && r.job != nil && one.JobID == r.job.id && one.Fence == r.job.fence
}

func (r *runner) verdict(one *body) {
	if !r.isMine(one) {
		return
	}
	if one.Verdict != "VERDICT_HELD" {
		r.job.kill(syscall.SIGKILL)
		r.job = nil
		r.want()
		return
	}
	if !r.job.started {
		r.job.started = true
		r.send("started", r.job.ref(nil))
		go r.job.run(r.work)
	}
	r.cancel(one.Cancel)
}

func (r *runner) cancel(one *body) {
	if !r.isMine(one) {
		return
	}
	j := r.job
	j.cancel = one.Revision
	r.send("cancelAck", j.ref(m{"revision": j.cancel, "phase": "CANCEL_PHASE_RECEIVED"}))
	j.kill(syscall.SIGTERM)
	time.AfterFunc(time.Duration(one.GraceMs)*time.Millisecond, func() { j.kill(syscall.SIGKILL) })
}

func (r *runner) take(got message) {
	r.ack = got.Seq
	switch {
	case got.Welcome != nil:
		r.window, r.renewEvery = got.Welcome.LogWindowBytes, time.Duration(got.Welcome.RenewEveryMs)*time.Millisecond
		for _, one := range got.Welcome.Verdicts {
			if r.isMine(&one) {
				r.job.acked, r.job.waiting, r.job.reported = one.LogOffset, false, false
			}
			r.verdict(&one)
		}
		r.want()
	case got.Offer != nil:
		ref := m{"offerId": got.Offer.OfferID, "jobId": got.Offer.JobID, "fence": got.Offer.Fence}
		j := &job{id: got.Offer.JobID, fence: got.Offer.Fence, window: r.window}
		if r.job != nil || r.leaving || json.Unmarshal(got.Offer.Payload, &j.payload) != nil {
			ref["reason"] = "no_credit"
			r.send("reject", ref)
			return
		}
		r.job = j
		r.send("accept", ref)
	case r.isMine(got.OfferRevoked) && !r.job.started, r.isMine(got.StateAck):
		r.job = nil
		r.want()
	case got.LeaseState != nil:
		for _, one := range got.LeaseState.Leases {
			r.verdict(&one)
		}
	case r.isMine(got.LogAck): // Whatever was lost on its way is sent again from there.
		r.job.acked, r.job.window, r.job.waiting = got.LogAck.DurableOffset, got.LogAck.WindowBytes, false
	case got.Cancel != nil:
		r.cancel(got.Cancel)
	case got.Ping != nil:
		r.send("pong", m{"nonce": got.Ping.Nonce})
	case got.Goodbye != nil:
		if strings.Contains("GOODBYE_CODE_UNAUTHORIZED GOODBYE_CODE_SUPERSEDED GOODBYE_CODE_PROTOCOL", got.Goodbye.Code) {
			fmt.Fprintln(os.Stderr, "the coordinator says", got.Goodbye.Code)
			os.Exit(1)
		}
		r.retry = time.Duration(got.Goodbye.ReconnectAfterMs) * time.Millisecond
	}
}

// stream is one stream from Hello to its end.
func (r *runner) stream(stop <-chan os.Signal) error {
	came, err := r.dial()
	if err != nil {
		return err
	}
	defer r.conn.Close()
	r.seq, r.ack, r.renewEvery = 0, 0, 20*time.Second
	running := []m{}
	if r.job != nil && r.job.started {
		running = append(running, r.job.ref(nil))
	} else {
		r.job = nil
	}
	r.send("hello", m{"systemId": r.system, "bootId": r.boot, "protocolMin": 1, "protocolMax": 1, "name": "minimal-runner-go",
		"version": "1", "executor": "shell", "capacity": 1, "running": running})
	for renewed := time.Now(); !r.leaving || r.job != nil; r.pump() {
		select {
		case got, open := <-came:
			if !open {
				return fmt.Errorf("the stream has ended")
			}
			r.take(got)
		case <-stop:
			r.leaving = true
			r.send("drain", m{"revision": 1, "reason": "SIGTERM"})
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(renewed) > r.renewEvery*9/10 {
			renewed = time.Now()
			if r.job != nil && r.job.started {
				r.send("leaseRenew", m{"leases": []m{r.job.ref(nil)}})
			} else {
				r.send("ping", m{"nonce": 1})
			}
		}
	}
	r.send("goodbye", m{"code": "GOODBYE_CODE_DONE"})
	return nil
}

func main() {
	address, err := url.Parse(os.Getenv("SIGNALBOX_URL"))
	if err != nil {
		panic(err)
	}
	work := os.Getenv("SIGNALBOX_WORK_DIR")
	if work == "" {
		work, _ = os.MkdirTemp("", "runner")
	}
	identity := filepath.Join(work, "system_id")
	if _, err := os.Stat(identity); err != nil {
		os.WriteFile(identity, []byte(fmt.Sprintf("go_%x", rand.Int63())), 0o600)
	}
	system, _ := os.ReadFile(identity)
	r := &runner{url: address, token: os.Getenv("SIGNALBOX_RUNNER_TOKEN"), work: work, system: string(system)}
	r.boot = fmt.Sprintf("boot-%016x", rand.Int63())
	os.Unsetenv("SIGNALBOX_RUNNER_TOKEN")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	for !r.leaving || r.job != nil {
		r.retry = time.Duration(200+rand.Intn(1800)) * time.Millisecond
		if err := r.stream(stop); err != nil {
			fmt.Fprintln(os.Stderr, err)
			time.Sleep(r.retry)
		}
	}
}
