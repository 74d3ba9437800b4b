package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
)

// A runner as small as one can be: it asks for jobs and says how they ended.
type runner struct{ url, token string }

// Takes the job that waits, sends a log, an archive with out/a.txt and a test report, and ends it so.
func (r runner) work(state string) {
	var job struct {
		ID    int64
		Token string
	}
	asked := map[string]any{"token": r.token, "system_id": "s_0123456789ab", "info": map[string]any{
		"name": "small", "version": "19.4.0", "platform": "linux", "executor": "shell",
		"features": map[string]bool{
			"variables": true, "artifacts": true, "cache": true, "upload_multiple_artifacts": true, "refspecs": true, "return_exit_code": true,
		},
	}}
	r.send("POST", "/jobs/request", "", "application/json", encoded(asked), &job)
	path := fmt.Sprintf("/jobs/%d", job.ID)
	r.send("PATCH", path+"/trace", job.Token, "text/plain", []byte("log of job"), nil)
	r.upload(path+"/artifacts?artifact_type=archive&artifact_format=zip", job.Token, archive("out/a.txt", "made by a jöb"))
	r.upload(path+"/artifacts?artifact_type=junit&artifact_format=gzip", job.Token,
		zipped(`<testsuite><testcase name="adds" time="0.5"/></testsuite>`))
	r.send("PUT", path, job.Token, "application/json", encoded(map[string]string{"token": job.Token, "state": state}), nil)
}

func (r runner) upload(path, token string, file []byte) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("file", "file")
	check(err)
	part.Write(file)
	check(form.Close())
	r.send("POST", path, token, form.FormDataContentType(), body.Bytes(), nil)
}

func (r runner) send(method, path, token, kind string, body []byte, answer any) {
	request, err := http.NewRequest(method, r.url+"/api/v4"+path, bytes.NewReader(body))
	check(err)
	request.Header.Set("Content-Type", kind)
	request.Header.Set("JOB-TOKEN", token)
	if method == "PATCH" {
		request.Header.Set("Content-Range", fmt.Sprintf("0-%d", len(body)-1))
	}
	response, err := http.DefaultClient.Do(request)
	check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	check(err)
	if response.StatusCode >= 300 || response.StatusCode == http.StatusNoContent {
		check(fmt.Errorf("%s %s: %s %s", method, path, response.Status, text))
	}
	if answer != nil {
		check(json.Unmarshal(text, answer))
	}
}

func encoded(value any) []byte {
	text, err := json.Marshal(value)
	check(err)
	return text
}

func archive(name, content string) []byte {
	var bytes bytes.Buffer
	writer := zip.NewWriter(&bytes)
	file, err := writer.Create(name)
	check(err)
	io.WriteString(file, content)
	check(writer.Close())
	return bytes.Bytes()
}

func zipped(content string) []byte {
	var bytes bytes.Buffer
	writer := gzip.NewWriter(&bytes)
	io.WriteString(writer, content)
	check(writer.Close())
	return bytes.Bytes()
}
